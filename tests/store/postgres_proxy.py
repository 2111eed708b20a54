"""A proxy before a PostgreSQL server that loses the connection at a COMMIT: its question, or the answer to it."""

import contextlib
import select
import shutil
import socket
import tempfile
import threading
from pathlib import Path

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # the message of a simple query
QUESTION, ANSWER = "question", "answer"


class Proxy:
    """Listens on a socket of its own, with threads of its own: a store may block while it waits."""

    def __init__(self, server_folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-proxy-"))
        self._server = str(server_folder / ".s.PGSQL.5432")
        self.lose: str | None = None  # what of the next COMMIT
        self.lost = 0
        self.refuse = False  # new connections
        self._closing = False
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._closing = True
        for thread in self._threads:
            thread.join(10)
        self._listening.close()
        shutil.rmtree(self.folder)

    def _accept(self) -> None:
        while not self._closing:
            if select.select([self._listening], [], [], 0.05)[0]:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(ConnectionError):
            if self.refuse:
                return
            server.connect(self._server)
            while not self._closing:
                readable = select.select([client, server], [], [], 0.05)[0]
                if client in readable and not self._carry_question(client, server):
                    return
                if server in readable:
                    data = server.recv(65536)
                    if not data:
                        return
                    client.sendall(data)

    def _carry_question(self, client: socket.socket, server: socket.socket) -> bool:
        data = client.recv(65536)
        if not data:
            return False
        if COMMIT not in data or self.lose is None:
            server.sendall(data)
            return True
        lose, self.lose = self.lose, None
        if lose == ANSWER:
            server.sendall(data)
            server.recv(65536)  # it has answered: the commit is there
        self.lost += 1
        return False
