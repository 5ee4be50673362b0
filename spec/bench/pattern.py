"""What modalua is measured against: the requests that pyorthanc makes, one after the other, on one connection of httpx, as pyorthanc
makes them.

    pattern.py find URL MODALITY QUERY      the C-FIND, the list of answers, and one request for each answer
    pattern.py answers URL MODALITY QUERY   what follows the C-FIND of these
    pattern.py move URL MODALITY QUERY AET  one synchronous retrieve of all that is found; only the retrieve is timed
    pattern.py echo URL MODALITY N          one after the other

Prints what the work itself took, without the start of this program: seconds, seconds of CPU, how many.
"""
import json
import sys
import time

import httpx

action, url, modality = sys.argv[1:4]
server = httpx.Client(base_url=url, timeout=3600)


def request(method, path, body=None):
    answer = server.request(method, path, json=body)
    if answer.status_code != 200:
        sys.exit("%s %s: %d %s" % (method, path, answer.status_code, answer.text))
    return answer.json()


def query():
    return request("POST", "/modalities/%s/query" % modality, json.loads(sys.argv[4]))["ID"]


def answers(found):
    return [
        request("GET", "/queries/%s/answers/%s/content?simplify=true" % (found, i))
        for i in request("GET", "/queries/%s/answers" % found)
    ]


def retrieve(found):
    request("POST", "/queries/%s/retrieve" % found, {"TargetAet": sys.argv[5]})
    return request("GET", "/queries/%s/answers" % found)


def echoes():
    return [request("POST", "/modalities/%s/echo" % modality, {}) for _ in range(int(sys.argv[4]))]


request("GET", "/system")  # the connection is there, as it is in a session
if action in ("answers", "move"):
    query_id = query()
work = {
    "find": lambda: answers(query()),
    "answers": lambda: answers(query_id),
    "move": lambda: retrieve(query_id),
    "echo": echoes,
}[action]
wall, cpu = time.monotonic(), time.process_time()
done = work()
print("%.6f %.6f %d" % (time.monotonic() - wall, time.process_time() - cpu, len(done)))
