"""A host that does not answer: a listening socket whose queue is full, so that the kernel drops every further SYN.

Prints its port, and lives until the reader of its standard output goes away.
"""
import select
import socket

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(0)
waiting = []
for _ in range(8):  # the queue holds fewer; the rest keep trying
    waiting.append(socket.socket())
    waiting[-1].setblocking(False)
    waiting[-1].connect_ex(server.getsockname())
print(server.getsockname()[1], flush=True)
reader = select.poll()
reader.register(1, 0)  # POLLERR is reported unasked
reader.poll()
