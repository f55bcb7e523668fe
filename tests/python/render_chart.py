"""Renders a chart, as `helm template NAME FOLDER` does, and prints its objects as a JSON list.

It is no Helm: it knows the part of Go's templates that charts of mlrs use (values, `if`, `with`, a few
functions), and stops at anything else. Helm itself is in no registry that the tests may use.

Usage: render_chart.py NAME FOLDER [KEY.KEY=JSON …]
"""

import json
import pathlib
import re
import sys

import yaml

TOKEN = re.compile(r"\{\{(-?) (.*?) \}\}", re.DOTALL)
WORD = re.compile(r'\(|\)|\||[^\s()|]+')


def nindent(spaces, text):
    return "\n" + "\n".join(" " * spaces + line for line in text.split("\n"))


FUNCTIONS = {
    "quote": lambda value: json.dumps(str(value)),
    "toYaml": lambda value: yaml.safe_dump(value, default_flow_style=False).rstrip("\n"),
    "nindent": nindent,
    "int": int,
    "add": lambda *numbers: sum(int(number) for number in numbers),
    "gt": lambda one, other: one > other,
    "not": lambda value: not value,
    "ternary": lambda yes, no, condition: yes if condition else no,
}


class Expression:
    """A pipeline of calls, evaluated where it stands."""

    def __init__(self, text, root, dot):
        self.words, self.root, self.dot = WORD.findall(text), root, dot

    def pipeline(self):
        value = self.call([])
        while self.words and self.words[0] == "|":
            self.words.pop(0)
            value = self.call([value])
        return value

    def call(self, last):
        if self.words[0] in FUNCTIONS:
            function = FUNCTIONS[self.words.pop(0)]
            arguments = []
            while self.words and self.words[0] not in "|)":
                arguments.append(self.term())
            return function(*arguments, *last)
        return self.term()

    def term(self):
        word = self.words.pop(0)
        if word == "(":
            value = self.pipeline()
            self.words.pop(0)
            return value
        if re.fullmatch(r"-?\d+", word):
            return int(word)
        if word == ".":
            return self.dot
        if not re.fullmatch(r"(\.\w+)+", word):
            raise ValueError(f"unknown word: {word}")
        value = self.root
        for name in word.strip(".").split("."):
            value = value[name]
        return value


def render(text, root):
    pieces, at = [], 0
    for match in TOKEN.finditer(text):
        before = text[at : match.start()]
        pieces.append(before.rstrip() if match[1] else before)
        pieces.append(match[2].strip().split(" ", 1))
        at = match.end()
    pieces.append(text[at:])
    output, stack = "", [(True, root)]
    for piece in pieces:
        shown, dot = stack[-1]
        if isinstance(piece, str):
            output += piece if shown else ""
        elif piece[0] in ("if", "with"):
            value = Expression(piece[1], root, dot).pipeline() if shown else None
            stack.append((shown and bool(value), value if piece[0] == "with" else dot))
        elif piece[0] == "end":
            stack.pop()
        elif shown:
            value = Expression(" ".join(piece), root, dot).pipeline()
            output += str(value).lower() if isinstance(value, bool) else str(value)
    assert len(stack) == 1, "a condition without its end"
    return output


def main():
    name, folder, *changes = sys.argv[1:]
    folder = pathlib.Path(folder)
    values = yaml.safe_load((folder / "values.yaml").read_text())
    for change in changes:
        path, value = change.split("=", 1)
        *parents, last = path.split(".")
        place = values
        for key in parents:
            place = place[key]
        place[last] = json.loads(value)
    chart = yaml.safe_load((folder / "Chart.yaml").read_text())
    assert chart["apiVersion"] == "v2" and chart["name"], chart
    root = {"Values": values, "Release": {"Name": name, "Service": "Helm"}}
    documents = []
    for path in sorted((folder / "templates").iterdir()):
        documents += [body for body in yaml.safe_load_all(render(path.read_text(), root)) if body]
    json.dump(documents, sys.stdout)


main()
