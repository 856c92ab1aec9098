"""A proxy that loses answers: it hands the request on, and hangs up when the answer begins."""

import contextlib
import socket
import threading
from collections.abc import Iterator

_PIECE = 65_536


class DroppingProxy:
    """`with DroppingProxy(port, drops=1) as proxy:`; after so many lost answers it lets everything through."""

    def __init__(self, port: int, drops: int) -> None:
        self.connections = 0
        self._target = ("127.0.0.1", port)
        self._left = drops
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "DroppingProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                drops, self._left = self._left > 0, self._left - 1
                threading.Thread(target=self._carry, args=(client, drops), daemon=True).start()

    def _carry(self, client: socket.socket, drops: bool) -> None:
        with client, socket.create_connection(self._target) as server:
            threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            for piece in _pieces(server):
                if drops:
                    break
                client.sendall(piece)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for piece in _pieces(source):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            yield piece
