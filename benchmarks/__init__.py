"""`make bench`: `windlass get` against the tools that people use otherwise, on loopback, and what came of it.

    content    the models that are fetched
    site       what nginx is told, and what the hub answers
    origin     nginx as a hub and its CDN
    process    a command, run to its end and measured
    tools      how each tool is told to fetch
    scenarios  what is fetched over which network, by which tools
    trials     the runs: in turn, each into a fresh folder
    memory     fills memory before each run
    machine    what it ran on
    report     RESULTS.md

Run as `python -m benchmarks` from the project's folder.
"""
