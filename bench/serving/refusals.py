"""How long a server under load takes to say no, as callers see it that do not load it themselves.

    nice -n -20 python3 refusals.py http://127.0.0.1:8787 [SECONDS] [CALLERS]

Meant to run beside `overload.lua`. Each of a few callers asks for a list, waits for the answer and 20 ms more. The load
generator's own percentiles also hold the time in which it waits for a core; these callers, first in line for one, leave that
out. Prints one line per status.
"""

import socket
import sys
import threading
import time
from urllib.parse import urlsplit


def call(address, until, caller, found):
    with socket.create_connection(address) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b'{"user":"u%d","k":10}' % (caller + 1)
        request = b"POST /v1/recommend HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        request += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        while time.monotonic() < until:
            began, answer = time.perf_counter(), b""
            server.sendall(request)
            while b"\r\n\r\n" not in answer:
                answer += receive(server)
            head, rest = answer.split(b"\r\n\r\n", 1)
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            while len(rest) < length:
                rest += receive(server)
            milliseconds = (time.perf_counter() - began) * 1000
            found.append((int(head.split()[1]), milliseconds))
            time.sleep(0.02)


def receive(server):
    part = server.recv(65536)
    if not part:
        raise SystemExit("the server closed the connection")
    return part


def main():
    url = urlsplit(sys.argv[1])
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    callers = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    found, until = [], time.monotonic() + seconds
    threads = [
        threading.Thread(target=call, args=((url.hostname, url.port), until, caller, found))
        for caller in range(callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for status in sorted({status for status, _ in found}):
        times = sorted(time for own, time in found if own == status)
        at = lambda p: times[min(len(times) - 1, len(times) * p // 100)]
        print(f"{status}: {len(times)} answers, ms: " + " ".join(f"p{p} {at(p):.2f}" for p in [50, 90, 95, 99]))


main()
