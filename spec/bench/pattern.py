"""What modalua is measured against: the requests that pyorthanc makes, one after the other, on one connection of the standard
library's HTTP client.

    pattern.py find URL MODALITY QUERY      the C-FIND, the list of answers, and one request for each answer
    pattern.py answers URL MODALITY QUERY   what follows the C-FIND of these
    pattern.py move URL MODALITY QUERY AET  one synchronous retrieve of all that is found; only the retrieve is timed
    pattern.py echo URL MODALITY N          one after the other

Prints what the work itself took, without the start of this program: seconds, seconds of CPU, how many.
"""
import http.client
import json
import sys
import time
import urllib.parse

action, url, modality = sys.argv[1:4]
server = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=3600)


def request(method, path, body=None):
    server.request(method, path, body if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = server.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit("%s %s: %d %s" % (method, path, answer.status, text))
    return json.loads(text)


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
