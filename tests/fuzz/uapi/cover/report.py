#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which basic blocks of the module were reached, by file.

usage: report.py asynclazy.ko unreached.txt log most

The module was built with cover/module.c; lines `cover OFFSET` of the log are
what it counted. Blocks that were not reached have to be in unreached.txt, one a
line: function | source text | reason. Those of the core are only counted: which
of its lines are reached is checked natively, by tests/fuzz/core/run.sh, where more
can be made to happen. What runs once, when the module comes and goes, is not measured.
Prints one line a file; the exit status is 1 if more than MOST blocks are missing in
unreached.txt or, if that is 0, if a line of it names what is not there, or what was
reached although its reason does not begin with "by chance: ".
"""
import collections
import os
import re
import subprocess
import sys

HOOK = "__sanitizer_cov_trace_pc"


def output(*command, **more):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def blocks(ko):
    """Addresses in .text that the calls of the hook return to; how many lie elsewhere."""
    found, section, once = [], "", 0
    for line in output("readelf", "-rW", ko).splitlines():
        if line.startswith("Relocation section"):
            section = line.split("'")[1]
        elif HOOK not in line:
            continue
        elif section == ".rela.text":
            found.append(int(line.split()[0], 16) + 4)
        elif section in (".rela.init.text", ".rela.exit.text"):
            once += 1
        elif section.startswith(".rela.") and "text" in section:
            sys.exit(f"{ko} has code in {section}, which is not measured")
    return sorted(found), once


def hook_address(ko):
    for line in output("nm", ko).splitlines():
        fields = line.split()
        if fields[-1] == HOOK and len(fields) == 3:
            return int(fields[0], 16)
    sys.exit(f"{ko} does not define {HOOK}")


def places(ko, addresses):
    """For each address the innermost (function, file, line) in kmod/."""
    # the call itself, not what comes after it
    text = "".join(f"{a - 5:#x}\n" for a in addresses)
    lines = output("addr2line", "-a", "-f", "-i", "-j", ".text", "-e", ko, input=text).splitlines()
    found, frames = [], None
    for line in lines + ["0x"]:
        if line.startswith("0x"):
            if frames is not None:
                found.append(innermost(frames))
            frames = []
        else:
            frames.append(line)
    return found


def innermost(frames):
    for function, place in zip(frames[::2], frames[1::2]):
        match = re.search(r"(kmod/(?!uapi)[a-z_/]+\.[ch]):(\d+)", place)
        if match:
            return function, match[1], int(match[2])
    return frames[0], "?", 0


def named(path):
    """unreached.txt as {(function, text): reason}"""
    result = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            fields = [f.strip() for f in line.split(" | ")]
            if line.strip() and not line.startswith("#"):
                if len(fields) != 3:
                    sys.exit(f"{path}: not 'function | source text | reason': {line}")
                result[fields[0], fields[1]] = fields[2]
    return result


def main():
    ko, unreached, log = sys.argv[1:4]
    most = int(sys.argv[4])
    here = hook_address(ko)
    with open(log, encoding="utf-8", errors="replace") as lines:
        seen = {here + int(l.split()[1]) for l in lines if re.match(r"cover -?\d+$", l)}
    if not seen:
        print("# nothing was counted")
        return 1
    every, once = blocks(ko)
    excuses = named(unreached)
    used, known = set(), set()
    by_file = collections.defaultdict(lambda: [0, 0, set(), set(), 0])
    missing = collections.OrderedDict()
    sources = {}
    for address, (function, file, line) in zip(every, places(ko, every)):
        if file == "?":
            continue
        entry = by_file[file]
        entry[1] += 1
        entry[3].add(line)
        if file not in sources:
            # as it was built
            with open(os.path.join(os.path.dirname(ko), file), encoding="utf-8") as text:
                sources[file] = [l.strip() for l in text]
        key = function, sources[file][line - 1]
        known.add(key)
        if address in seen:
            entry[0] += 1
            entry[2].add(line)
        elif key in excuses:
            used.add(key)
            entry[4] += 1
        elif not file.startswith("kmod/core/"):
            missing.setdefault(key, f"{file}:{line}")
    total = [0, 0, 0]
    for file in sorted(by_file):
        got, all_, lines_got, lines_all, excused = by_file[file]
        total = [total[0] + got, total[1] + all_, total[2] + excused]
        print(f"# coverage: {file} {100 * len(lines_got) // len(lines_all)}% lines "
              f"({got} of {all_} basic blocks, {excused} named)")
    print(f"# coverage: all {100 * total[0] / total[1]:.1f}% "
          f"({total[0]} of {total[1]} basic blocks, {total[2]} named in {os.path.basename(unreached)})")
    print(f"# {once} blocks that run when the module comes or goes are not measured")
    stale = [key for key, reason in excuses.items() if key not in known or
             (key not in used and not reason.startswith("by chance: "))]
    for key in stale:
        how = "reached after all" if key in known else "not there any more"
        print(f"# {how}: {key[0]} | {key[1]}")
    for (function, text), where in missing.items():
        print(f"# not reached, not named: {where}: {function} | {text}")
    return len(missing) > most or (most == 0 and bool(stale))


sys.exit(main())
