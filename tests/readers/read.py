"""read.py READER: an array of texts in JSON on standard input, an array of what the reader makes of each on standard
output: an object, or the error in words."""

import io
import json
import sys


def dotenv(interpolate):
    from dotenv import dotenv_values

    # As a file is opened: any line end is a line feed.
    return lambda text: dotenv_values(stream=io.StringIO(text, newline=None), interpolate=interpolate)


def yaml():
    from yaml import safe_load

    return safe_load


READERS = {
    "dotenv": lambda: dotenv(True),
    "dotenv-verbatim": lambda: dotenv(False),
    "json": lambda: json.loads,
    "yaml": yaml,
}


def outcome(read, text):
    try:
        return read(text)
    except Exception as error:
        return str(error)


read = READERS[sys.argv[1]]()
texts = json.load(sys.stdin)
json.dump([outcome(read, text) for text in texts], sys.stdout)
