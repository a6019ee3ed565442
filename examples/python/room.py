"""A room from Python, with the package websockets (pip install websockets).

python3 examples/python/room.py http://localhost:3001           makes a room
python3 examples/python/room.py http://localhost:3001 ABC234    joins one

Each line that is typed is said to everybody; the host's is also the room's document. Ctrl-C or the
end of the input ends it.
"""

import asyncio
import json
import sys
import urllib.request

import websockets


def create_room(server):
    request = urllib.request.Request(f"{server}/api/rooms", data=b'{"host_auth":"token"}')
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


async def hear(socket):
    """Prints what the server says, until it closes the connection."""
    async for text in socket:
        message = json.loads(text)
        match message["type"]:
            case "connected":
                print(f"in {message['room_code']} as {message['peer_id']}", flush=True)
            case "peer_joined":
                print("+", message["peer"]["id"], flush=True)
            case "peer_left":
                print("-", message["peer_id"], flush=True)
            case "data":
                print(f"{message['from']}: {json.dumps(message['data'])}", flush=True)
            case "document_sync":
                print("document:", message["document"], flush=True)
            case "ack":
                print("stored", flush=True)
            case "error":
                sys.exit(f"refused: {message['message']}")


async def say(socket, is_host):
    """Sends each line of the input."""
    number = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        text = line.rstrip("\n")
        await socket.send(json.dumps({"action": "broadcast", "data": {"text": text}}))
        if is_host:
            number += 1
            # With an id, the server says when the document is stored.
            await socket.send(json.dumps({"action": "sync_document", "document": text, "id": number}))


async def main(server="http://localhost:3001", code=None):
    server = server.rstrip("/")
    join = {"action": "join", "room_code": code}
    if code is None:
        room = create_room(server)
        join |= {"room_code": room["room_code"], "peer_id": room["host_id"], "is_host": True}
        join["host_token"] = room["host_token"]
    url = server.replace("http", "ws", 1) + "/ws"
    async with websockets.connect(url, subprotocols=["khun-phaen.v1"]) as socket:
        await socket.send(json.dumps(join))
        hearing = asyncio.create_task(hear(socket))
        await say(socket, code is None)
    await hearing


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
