"""A conversation of two members of the room ROOM, by way of the library `websockets`.

Usage: member.py URL, with the library on PYTHONPATH. Prints `all said` at the end.
"""

import asyncio
import json
import sys

import websockets
from websockets.asyncio.client import connect

DOCUMENT = "กขค" * 350_000  # more than 1 MiB in UTF-8
DEADLINE_SECONDS = 20


async def send(socket, **message):
    await socket.send(json.dumps(message, ensure_ascii=False))


async def expect(socket, **expected):
    message = json.loads(await socket.recv())
    actual = {name: message.get(name) for name in expected}
    assert actual == expected, f"{str(message)[:200]} instead of {str(expected)[:200]}"
    return message


async def join(socket, peer, is_host):
    await send(socket, action="join", room_code="room", peer_id=peer, is_host=is_host)
    await expect(socket, type="connected", peer_id=peer, room_code="ROOM")
    await expect(socket, type="room_info", host_id="host")


async def converse(url):
    options = {"compression": "deflate", "max_size": None, "proxy": None}
    host = await connect(url, **options)
    guest = await connect(url, subprotocols=["khun-phaen.v1"], **options)
    assert guest.subprotocol == "khun-phaen.v1"
    await join(host, "host", True)
    await join(guest, "guest", False)
    await expect(host, type="peer_joined")

    await send(guest, action="broadcast", data="hello")
    await expect(host, type="data", **{"from": "guest"}, data="hello")
    await host.send(b'{"action":"broadcast","data":[1]}')
    await expect(guest, type="data", **{"from": "host"}, data=[1])
    # A message in fragments.
    await guest.send(['{"action":"broad', 'cast","data', '":"in parts"}'])
    await expect(host, type="data", data="in parts")

    await send(host, action="sync_document", document=DOCUMENT, id="doc")
    await expect(guest, type="document_sync", document=DOCUMENT)
    await expect(host, type="ack", id="doc")
    await (await guest.ping(b"are you there?"))

    await guest.close(1000, "bye")
    assert guest.close_code == 1000, guest.close_code
    await expect(host, type="peer_left", peer_id="guest")

    await host.send("x" * (5 << 20))
    try:
        await host.recv()
        raise AssertionError("a message over the limit closes")
    except websockets.ConnectionClosed as closed:
        assert closed.rcvd is not None and closed.rcvd.code == 1009, closed


async def main():
    await asyncio.wait_for(converse(sys.argv[1]), DEADLINE_SECONDS)
    print("all said")


asyncio.run(main())
