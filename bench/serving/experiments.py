"""Experiments with a crowd whose tastes are known: how often two equal arms are told apart, and a worse one is found.

    daogou serve run --store shop.db          a store that no crowd has been to
    python experiments.py shop --runs 100 --lists 1000

Each run is an experiment of its own name with three arms, A, A again and B, and a crowd with a seed of its own. B is
after what people have not seen yet, whether or not they click it. The verdict is that at the end, when the crowd has
gone; it holds at any time before as well.
"""

import argparse
import json
import subprocess
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("shop")
parser.add_argument("--url", default="http://127.0.0.1:8787")
parser.add_argument("--daogou", default="daogou")
parser.add_argument("--runs", type=int, default=100)
parser.add_argument("--lists", type=int, default=1000)
parser.add_argument("--first-seed", type=int, default=1000)
options = parser.parse_args()


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"} if data else {}
    request = urllib.request.Request(options.url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


call("PUT", "/v1/presets/worse", {"objectives": {"click": 0.05, "novelty": 5}, "explore": 1.0})
arms = [{"name": "A", "share": 0.33}, {"name": "A-again", "share": 0.33}]
arms.append({"name": "B", "share": 0.34, "preset": "worse"})
apart = found = 0
for run in range(options.runs):
    name = f"run-{options.first_seed + run}"
    call("PUT", f"/v1/experiments/{name}", {"arms": arms})
    crowd = ["crowd", "--against", options.url, "--shop", options.shop]
    crowd += ["--requests", str(options.lists), "--seed", str(options.first_seed + run)]
    subprocess.run([options.daogou, *crowd], check=True, capture_output=True)
    told = call("POST", f"/v1/experiments/{name}/stop", {})
    verdicts = {(own["arm"], own["against"]): own["verdict"] for own in told["comparisons"]}
    again, worse = verdicts["A-again", "A"], verdicts["B", "A"]
    apart += again in ("better", "worse")
    found += worse == "worse"
    print(f"{name}: A again {again}, B {worse}", flush=True)
print(f"{options.runs} runs of {options.lists} lists: equal arms told apart in {apart}, the worse found in {found}")
