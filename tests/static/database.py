#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Writes compile_commands.json: how each C file is compiled in user space.

usage: database.py [--but DATABASE]... OUT TARGET...

The flags are asked of the makefiles themselves (make --dry-run), so that the
checkers see each file exactly as its compiler does. A file that is compiled in
several ways is listed once, as in the first TARGET that has it, and one that is
in another DATABASE not at all. A TARGET that does not exist is named on stderr,
with status 1.
"""
import json
import os
import re
import shlex
import subprocess
import sys

COMPILER = re.compile(r"(.*/)?(cc|gcc|clang)(-[0-9]+)?$")
ENTER = re.compile(r"make(\[\d+\])?: (Entering|Leaving) directory '(.*)'")
# what says where the output goes, or makes a warning end the compilation
DROP = {"-MMD", "-MP", "-MD", "-c", "-Werror"}
failed = []


def commands(target):
    """Yields (directory, words) for each compiler line of a target."""
    run = subprocess.run(
        ["make", "--dry-run", "--always-make", "--print-directory", target],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        sys.stderr.write("make %s: %s\n" % (target, run.stderr.strip()))
        failed.append(target)
    here = [os.getcwd()]
    for line in run.stdout.replace("\\\n", " ").splitlines():
        m = ENTER.match(line)
        if m:
            if m.group(2) == "Entering":
                here.append(m.group(3))
            else:
                here.pop()
            continue
        try:
            words = shlex.split(line)
        except ValueError:
            continue
        if words and COMPILER.match(words[0]):
            yield here[-1], words


def entries(here, words):
    """Yields an entry for each C file that a compiler line names."""
    flags, sources, skip = [], [], False
    for w in words[1:]:
        if skip:
            skip = False
        elif w in ("-o", "-MF", "-MT"):
            skip = True
        elif w.endswith(".c"):
            sources.append(os.path.normpath(os.path.join(here, w)))
        elif w not in DROP and not re.match(r"-Wl,|-l|-L|-static$|-fsanitize|-fno-sanitize|-fprofile|-fcoverage|--coverage$|.*\.(a|o|so[.0-9]*)$", w):
            flags.append(w)
    for s in sources:
        yield {"directory": here, "file": s,
               "arguments": [words[0]] + flags + ["-c", s]}


def main():
    args, others = sys.argv[1:], set()
    while len(args) > 1 and args[0] == "--but":
        with open(args[1], encoding="utf-8") as f:
            others |= {e["file"] for e in json.load(f)}
        args = args[2:]
    if len(args) < 2:
        print(__doc__)
        raise SystemExit(0 if args in (["-h"], ["--help"]) else 2)
    seen = {}
    for target in args[1:]:
        for here, words in commands(target):
            for e in entries(here, words):
                if e["file"] not in others:
                    seen.setdefault(e["file"], e)
    with open(args[0], "w", encoding="utf-8") as out:
        json.dump(list(seen.values()), out, indent=1)
    raise SystemExit(1 if failed else 0)


main()
