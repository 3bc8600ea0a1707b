"""link: a way from one worker to Redis that can be cut, slowed down and held up.

Each worker gets a unix socket of its own. What it sends is carried to Redis, and back, by one thread
for all links. A link is in one of these states:

  pass   bytes go through
  slow   every piece of up to 16 KiB waits `delay_s` first
  hang   nothing goes through; what was sent meanwhile goes on its way when the link passes again
  cut    connections are reset, new ones are closed at once
"""
import asyncio
import os
import threading


class Links:
    """The thread, and the folder where the links' sockets are."""

    def __init__(self, folder, redis_socket):
        self.folder, self.redis_socket = folder, redis_socket
        self.count = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def new(self):
        self.count += 1
        link = Link(self, os.path.join(self.folder, f"l{self.count}.sock"))
        self.run(link.listen())
        return link

    def close(self):
        async def end():
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Link:
    def __init__(self, links, path):
        self.links, self.path = links, path
        self.state, self.delay_s = "pass", 0.0
        self.writers = set()

    async def listen(self):
        self.passes = asyncio.Event()
        self.passes.set()
        self.server = await asyncio.start_unix_server(self.serve, self.path)

    def set(self, state, delay_s=0.0):
        self.links.run(self._set(state, delay_s))

    async def _set(self, state, delay_s):
        self.state, self.delay_s = state, delay_s
        if state == "hang":
            self.passes.clear()
        else:
            self.passes.set()
        if state == "cut":
            for writer in list(self.writers):
                writer.transport.abort()

    def close(self):
        self.links.run(self._close())

    async def _close(self):
        self.server.close()
        await self._set("cut", 0.0)
        os.unlink(self.path)

    async def serve(self, reader, writer):
        self.writers.add(writer)
        there = None
        try:
            if self.state == "cut":
                return
            back, there = await asyncio.open_unix_connection(self.links.redis_socket)
            self.writers.add(there)
            await asyncio.gather(self.carry(reader, there), self.carry(back, writer))
        except OSError:
            pass  # one of the two ends is gone, and so goes the other
        finally:
            for end in (writer, there):
                if end:
                    self.writers.discard(end)
                    end.transport.abort()

    async def carry(self, reader, writer):
        while True:
            piece = await reader.read(16384)
            if self.state == "slow":
                await asyncio.sleep(self.delay_s)
            await self.passes.wait()
            if not piece:
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
