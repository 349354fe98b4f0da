"""`make bench`: `windlass get` against the tools that people use otherwise, and `windlass serve` under load.

    content    the models that are fetched
    site       what nginx is told, and what the hub answers
    origin     nginx as a hub and its CDN
    process    a command, run to its end and measured
    tools      how each tool is told to fetch
    scenarios  what is fetched over which network, by which tools
    trials     the runs: in turn, each into a fresh folder
    control    what is asked of a server while it works
    shelves    lists of many models
    many_models  a folder with them
    record     a database with many jobs
    server     a server as a process, asked in time
    line       a connection to it
    load       asks as often as it is answered, from a process of its own
    bare       the least that can answer, to compare with
    memory     fills memory before each run
    machine    what it ran on
    report     RESULTS.md

Run as `python -m benchmarks` from the project's folder.
"""
