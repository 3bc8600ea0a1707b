"""hostile: an API that means harm. Each connection is given to a function of the test's own.

    with Hostile(lambda conn: conn.sendall(b"HTTP/1.1 200 OK\r\n...")) as api:
        fleet.worker(env={"ANTHROPIC_BASE_URL": api.url})
"""
import contextlib
import json
import socket
import threading

GOOD = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
                   "content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn",
                   "usage": {"input_tokens": 3, "output_tokens": 5}}).encode()


def head(status="200 OK", **headers):
    lines = [f"HTTP/1.1 {status}"] + [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def good():
    return head(content_type="application/json", content_length=len(GOOD)) + GOOD


class Hostile:
    """serve(conn, request, n) answers the n-th request (from 1); what it sends is counted."""

    def __init__(self, serve):
        self.serve, self.requests, self.sent = serve, 0, 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.closing.set()
        self.listener.close()

    def listen(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.listener.accept()
                threading.Thread(target=self.attend, args=(conn,), daemon=True).start()

    def attend(self, conn):
        with conn, contextlib.suppress(OSError):
            while (request := self.read(conn)) is not None:
                with self.lock:
                    self.requests += 1
                    n = self.requests
                if self.serve(conn, request, n) is False:
                    return

    @staticmethod
    def read(conn):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = conn.recv(65536)
            if not piece:
                return None
            data += piece
        first, _, body = data.partition(b"\r\n\r\n")
        size = int(next(line.split(b":")[1] for line in first.split(b"\r\n")
                        if line.lower().startswith(b"content-length")))
        while len(body) < size:
            body += conn.recv(65536)
        return first + b"\r\n\r\n" + body

    def pour(self, conn, total, piece=b"x" * 65536):
        """Sends so many bytes, as long as somebody takes them."""
        for _ in range(total // len(piece)):
            conn.sendall(piece)
            self.sent += len(piece)
