#!/usr/bin/env python3
"""Writes files as C strings: embed.py OUTPUT NAME=FILE..."""
import sys


def main(output, *files):
    with open(output, "w", encoding="utf-8") as out:
        out.write("/* Files of src/cli/template, as they are there. */\n")
        for pair in files:
            name, path = pair.split("=", 1)
            with open(path, "rb") as file:
                data = file.read()
            out.write("static const char %s[] = {\n" % name)
            for at in range(0, len(data), 16):
                out.write("    %s,\n" % ", ".join(str(byte) for byte in data[at:at + 16]))
            out.write("};\n")


main(*sys.argv[1:])
