// The rooms of the protocol on npm's `ws`, as somebody would write them in an afternoon: no limits,
// no store, no acks. `node ws.cjs PORT`, with NODE_PATH at the folder that has the package.
'use strict';

const http = require('node:http');
const { WebSocketServer } = require('ws');

const rooms = new Map();

function roomOf(code) {
  let room = rooms.get(code);
  if (!room) {
    room = { code, hostId: `host-${code}`, members: new Map(), document: null };
    rooms.set(code, room);
  }
  return room;
}

function broadcast(room, except, event) {
  const text = JSON.stringify(event);
  for (const member of room.members.keys()) {
    if (member !== except) member.send(text);
  }
}

function join(socket, message) {
  const room = roomOf(message.room_code);
  const peer = {
    id: message.peer_id,
    joined_at: new Date().toISOString(),
    is_host: message.is_host === true && message.peer_id === room.hostId,
    metadata: message.metadata ?? null,
  };
  socket.room = room;
  socket.peer = peer;
  room.members.set(socket, peer);
  socket.send(JSON.stringify({ type: 'connected', peer_id: peer.id, room_code: room.code }));
  const peers = [...room.members.values()];
  socket.send(
    JSON.stringify({ type: 'room_info', room_code: room.code, host_id: room.hostId, peers }),
  );
  if (room.document !== null) {
    socket.send(JSON.stringify({ type: 'document_sync', document: room.document }));
  }
  broadcast(room, socket, { type: 'peer_joined', peer });
}

function leave(socket) {
  const { room, peer } = socket;
  if (!room) return;
  socket.room = undefined;
  room.members.delete(socket);
  broadcast(room, socket, { type: 'peer_left', peer_id: peer.id });
}

function act(socket, message) {
  switch (message.action) {
    case 'join':
      return join(socket, message);
    case 'broadcast':
      return broadcast(socket.room, socket, {
        type: 'data',
        from: socket.peer.id,
        data: message.data,
      });
    case 'sync_document':
      socket.room.document = message.document;
      return broadcast(socket.room, socket, {
        type: 'document_sync',
        document: message.document,
      });
    case 'ping':
      return socket.send('{"type":"pong"}');
    default:
      return undefined;
  }
}

const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => {
    if (request.url !== '/api/rooms') return response.writeHead(200).end('{}');
    const room = roomOf(JSON.parse(body).desired_room_code);
    const answer = { success: true, room_code: room.code, host_id: room.hostId };
    response.writeHead(201, { 'Content-Type': 'application/json', Connection: 'close' });
    return response.end(JSON.stringify(answer));
  });
});

const sockets = new WebSocketServer({ server, path: '/ws', perMessageDeflate: false });
sockets.on('connection', (socket) => {
  socket.on('message', (bytes) => act(socket, JSON.parse(bytes)));
  socket.on('close', () => leave(socket));
  socket.on('error', () => leave(socket));
});
server.listen(Number(process.argv[2]), '127.0.0.1', 4096);
