"""The rooms of the protocol on PyPI's socketify, whose sockets and fan-out are uWebSockets in C++.

No limits, no store, no acks. `python socketify_rooms.py PORT`
"""

import json
import sys
from datetime import datetime, timezone

from socketify import App, AppListenOptions, CompressOptions, OpCode

rooms = {}


def room_of(code):
    return rooms.setdefault(code, {"code": code, "host_id": f"host-{code}", "members": {}, "document": None})


def text(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def join(ws, state, message):
    room = room_of(message["room_code"])
    peer_id = message["peer_id"]
    peer = {
        "id": peer_id,
        "joined_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "is_host": message.get("is_host") is True and peer_id == room["host_id"],
        "metadata": message.get("metadata"),
    }
    state["room"], state["peer"] = room, peer
    room["members"][peer_id] = peer
    ws.subscribe(room["code"])
    ws.send(text({"type": "connected", "peer_id": peer_id, "room_code": room["code"]}), OpCode.TEXT)
    info = {"type": "room_info", "room_code": room["code"], "host_id": room["host_id"]}
    info["peers"] = list(room["members"].values())
    ws.send(text(info), OpCode.TEXT)
    if room["document"] is not None:
        ws.send(text({"type": "document_sync", "document": room["document"]}), OpCode.TEXT)
    ws.publish(room["code"], text({"type": "peer_joined", "peer": peer}), OpCode.TEXT)


def act(ws, message, _opcode):
    state = ws.get_user_data()
    message = json.loads(message)
    action = message["action"]
    if action == "join":
        join(ws, state, message)
    elif action == "broadcast":
        event = {"type": "data", "from": state["peer"]["id"], "data": message["data"]}
        ws.publish(state["room"]["code"], text(event), OpCode.TEXT)
    elif action == "sync_document":
        room = state["room"]
        room["document"] = message["document"]
        ws.publish(room["code"], text({"type": "document_sync", "document": message["document"]}), OpCode.TEXT)
    elif action == "ping":
        ws.send('{"type":"pong"}', OpCode.TEXT)


def upgrade(response, request, context):
    key = request.get_header("sec-websocket-key")
    response.upgrade(key, "", "", context, {"room": None, "peer": None})


def close(ws, _code, _message):
    state = ws.get_user_data()
    room = state["room"]
    if room is None:
        return
    room["members"].pop(state["peer"]["id"], None)
    app.publish(room["code"], text({"type": "peer_left", "peer_id": state["peer"]["id"]}), OpCode.TEXT)


async def make_room(response, _request):
    body = await response.get_json()
    room = room_of(body["desired_room_code"])
    answer = {"success": True, "room_code": room["code"], "host_id": room["host_id"]}
    response.write_status(201).write_header("Content-Type", "application/json")
    response.end(text(answer), True)


app = App()
app.post("/api/rooms", make_room)
app.ws(
    "/ws",
    {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": 16 * 1024 * 1024,
        "max_backpressure": 64 * 1024 * 1024,
        "idle_timeout": 120,
        "upgrade": upgrade,
        "message": act,
        "close": close,
    },
)
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda _config: None)
app.run()
