#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Runs a command for each file of a compile_commands.json.

usage: each.py DATABASE JOBS compile COMPILER FLAG...
       each.py DATABASE JOBS file COMMAND ARGUMENT...

compile: as the file is compiled, with the COMPILER and the FLAGs in front of
its own; the object goes nowhere. file: with the file's name behind. What the
commands print comes out one command after the other, stderr too.
"""
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def main():
    if len(sys.argv) < 5 or sys.argv[3] not in ("compile", "file"):
        print(__doc__)
        raise SystemExit(2)
    mode, command = sys.argv[3], sys.argv[4:]
    with open(sys.argv[1], encoding="utf-8") as f:
        files = json.load(f)

    def run(e):
        words = command + (e["arguments"][1:] + ["-o", "/dev/null"]
                           if mode == "compile" else [e["file"]])
        return subprocess.run(words, cwd=e["directory"] if mode == "compile" else None,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False).stdout

    with ThreadPoolExecutor(int(sys.argv[2])) as pool:
        for out in pool.map(run, files):
            sys.stdout.buffer.write(out)


main()
