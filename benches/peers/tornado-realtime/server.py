"""The realtime rows on Tornado. Run with `python3 server.py [--port N]`; needs the package tornado."""

import argparse
import asyncio

from tornado.httpserver import HTTPServer
from tornado.locks import Condition
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler


class Echo(WebSocketHandler):
    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


class DeflateEcho(Echo):
    def get_compression_options(self):
        return {"compression_level": 6}


class Receiver(WebSocketHandler):
    members = set()

    def open(self):
        self.members.add(self)

    def on_close(self):
        self.members.discard(self)


class Events(RequestHandler):
    members = set()

    async def get(self):
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.gone = asyncio.Event()
        await self.flush()
        self.members.add(self)
        await self.gone.wait()

    def send(self, message):
        self.write("data: " + message + "\n\n")
        self.flush()

    def on_connection_close(self):
        self.members.discard(self)
        self.gone.set()


class Poll(RequestHandler):
    changed = Condition()
    newest = ""

    async def get(self):
        await self.changed.wait()
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(self.newest)


class Publish(RequestHandler):
    def post(self):
        message = self.request.body.decode()
        for member in Receiver.members:
            member.write_message(message)
        for member in Events.members:
            member.send(message)
        Poll.newest = message
        Poll.changed.notify_all()
        self.set_status(204)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    sockets = bind_sockets(parser.parse_args().port, "127.0.0.1", backlog=4096)
    application = Application(
        [
            ("/echo", Echo),
            ("/deflate", DeflateEcho),
            ("/broadcast", Receiver),
            ("/events", Events),
            ("/poll", Poll),
            ("/publish", Publish),
        ],
        # One line for each request is not what the others write.
        log_function=lambda handler: None,
    )
    HTTPServer(application).add_sockets(sockets)
    print("listening on http://127.0.0.1:%d" % sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
