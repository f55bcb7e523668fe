"""Runs commands of MLflow's command line in one process: importing it takes longer than any of them.

Reads a JSON list of argument lists from standard input, and writes a JSON list of exit status and
standard output of each as the last line.
"""

import json
import sys

from click.testing import CliRunner
from mlflow.cli import cli


def main() -> None:
    answers = []
    for arguments in json.load(sys.stdin):
        result = CliRunner().invoke(cli, arguments)
        answers.append({"code": result.exit_code, "output": result.stdout})
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
