"""What the differential tests ask each model: every payload format, well-formed and not.

A request is `{"case", "content_type", "body"}`; the body is raw text, because the spelling of a
number is part of the question. `content_type` null sends no header. Bodies that are not UTF-8 come
as `body_base64` instead.
"""

import base64
import csv
import io
import json

from request_values import (
    BASE64_VALUES,
    BESIDE_VALUES,
    CELL_VALUES,
    COLUMN_VALUES,
    CSV_VALUES,
    NUL_VALUES,
    PARAMETER_SETS,
    TENSOR_VALUES,
)

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"


class Cases:
    """Collects the requests for one model."""

    def __init__(self):
        self.made = []

    def text(self, case, body, content_type=JSON_TYPE):
        """A body as text."""
        self.made.append({"case": case, "content_type": content_type, "body": body})

    def json(self, case, document):
        """A body that is well-formed JSON."""
        self.text(case, json.dumps(document, ensure_ascii=False))

    def raw(self, case, body, content_type=JSON_TYPE):
        """A body as bytes."""
        encoded = base64.b64encode(body).decode("ascii")
        self.made.append({"case": case, "content_type": content_type, "body_base64": encoded})


def to_csv(columns, rows, **options):
    """The rows as MLflow's clients write them."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator=options.pop("lineterminator", "\n"), **options)
    writer.writerow(columns)
    writer.writerows(rows)
    return target.getvalue()


def records_of(columns, rows):
    """The rows as objects."""
    return [dict(zip(columns, row)) for row in rows]


def columns_of(columns, rows):
    """The rows as lists by column."""
    return {name: [row[i] for row in rows] for i, name in enumerate(columns)}


def split_requests(cases, columns, rows):
    """`dataframe_split`."""

    def split(case, **document):
        cases.json(f"split/{case}", {"dataframe_split": document})

    split("plain", columns=columns, data=rows)
    split("index", index=list(range(7, 7 + len(rows))), columns=columns, data=rows)
    split("data before columns", data=rows, columns=columns)
    split("one row", columns=columns, data=rows[:1])
    split("reordered", columns=columns[::-1], data=[row[::-1] for row in rows])
    split("extra column", columns=[*columns, "surplus"], data=[[*row, 1] for row in rows])
    split("missing last column", columns=columns[:-1], data=[row[:-1] for row in rows])
    split("no columns", data=rows)
    split("no data", columns=columns)
    split("no rows", columns=columns, data=[])
    split("ragged short", columns=columns, data=[rows[0], rows[0][:-1]])
    split("ragged long", columns=columns, data=[rows[0], [*rows[0], 1]])
    split("unknown key", columns=columns, data=rows, dtypes=["a"])
    split("index of wrong length", index=[1], columns=columns, data=[*rows, *rows])
    split("duplicate columns", columns=[*columns, columns[0]], data=[[*r, r[0]] for r in rows])
    split("columns are numbers", columns=list(range(len(columns))), data=rows)
    split("flat row", columns=columns, data=rows[0])
    cases.json("split/list", {"dataframe_split": rows})
    cases.json("split/null", {"dataframe_split": None})
    cases.json("split/string", {"dataframe_split": "a"})


def record_requests(cases, columns, rows):
    """`dataframe_records`."""
    records = records_of(columns, rows)
    without = [records[0], {k: v for k, v in records[1].items() if k != columns[-1]}]

    def made(case, document):
        cases.json(f"records/{case}", {"dataframe_records": document})

    made("plain", records)
    made("one row", records[:1])
    made("reordered", [dict(reversed(record.items())) for record in records])
    made("order differs by row", [records[0], dict(reversed(records[1].items()))])
    made("missing key in second row", without)
    made("missing key in every row", [without[1], without[1]])
    made("extra key", [{**record, "surplus": 1} for record in records])
    made("extra key in second row", [records[0], {**records[1], "surplus": "a"}])
    made("object", records[0])
    made("empty list", [])
    made("empty object", [{}])
    made("list of lists", rows)
    made("list of scalars", [1, 2])
    made("null", None)
    made("null row", [records[0], None])


def input_requests(cases, columns, rows):
    """`inputs` and `instances` of a tabular model."""
    records, lists = records_of(columns, rows), columns_of(columns, rows)
    shorter = {**lists, columns[-1]: lists[columns[-1]][:1]}
    longer = {**lists, columns[0]: lists[columns[0]] * 2}
    for key in ("inputs", "instances"):

        def made(case, document, key=key):
            cases.json(f"{key}/{case}", {key: document})

        made("list of objects", records)
        made("one object in list", records[:1])
        made("object of lists", lists)
        made("object of lists reordered", dict(reversed(lists.items())))
        made("object of scalars", records[0])
        made("object of nested lists", {name: [[v] for v in vs] for name, vs in lists.items()})
        made("nested lists", rows)
        made("flat list", rows[0])
        made("missing key", {name: lists[name] for name in columns[:-1]})
        made("missing key in second object", [records[0], {columns[0]: rows[1][0]}])
        made("extra key", {**lists, "surplus": [1] * len(rows)})
        made("extra key in objects", [{**record, "surplus": 1} for record in records])
        made("shorter list", shorter)
        made("longer list", longer)
        made("empty list", [])
        made("empty object", {})
        made("empty lists", {name: [] for name in columns})
        made("null", None)
        made("number", 1)
        made("string", "a")


def csv_requests(cases, columns, rows):
    """CSV."""

    def made(case, text, content_type=CSV_TYPE):
        cases.text(f"csv/{case}", text, content_type)

    plain = to_csv(columns, rows)
    made("plain", plain)
    made("charset", plain, "text/csv; charset=utf-8")
    made("crlf", to_csv(columns, rows, lineterminator="\r\n"))
    made("quoted", to_csv(columns, rows, quoting=csv.QUOTE_ALL))
    made("no final newline", plain.rstrip("\n"))
    made("blank lines", plain.replace("\n", "\n\n"))
    made("byte order mark", "\ufeff" + plain)
    made("reordered", to_csv(columns[::-1], [row[::-1] for row in rows]))
    made("extra column", to_csv([*columns, "surplus"], [[*row, 1] for row in rows]))
    made("missing column", to_csv(columns[:-1], [row[:-1] for row in rows]))
    made("pandas index", to_csv(["", *columns], [[i, *row] for i, row in enumerate(rows)]))
    made("header only", to_csv(columns, []))
    made("empty", "")
    made("long row", to_csv(columns, [rows[0], [*rows[0], 1, 2]]))
    made("short row", to_csv(columns, [rows[0], rows[0][:-1]]))
    made("empty first cell", to_csv(columns, [rows[0], ["", *rows[0][1:]]]))
    made("blank around cells", to_csv(columns, [[f" {cell} " for cell in row] for row in rows]))
    made("unclosed quote", plain + '"')
    made("semicolons", to_csv(columns, rows, delimiter=";"))
    cases.raw("csv/latin-1", "a\n\u00fc\n".encode("latin-1"), CSV_TYPE)


def null_requests(cases, columns, rows):
    """A null in each column, in each format."""
    for i, name in enumerate(columns):
        odd = [*rows[0][:i], None, *rows[0][i + 1 :]]
        table = [rows[0], odd]
        cases.json(f"null/{name}/split", {"dataframe_split": {"columns": columns, "data": table}})
        cases.json(f"null/{name}/records", {"dataframe_records": records_of(columns, [odd])})
        cases.json(f"null/{name}/inputs", {"inputs": columns_of(columns, table)})
        cases.json(f"null/{name}/instances", {"instances": records_of(columns, table)})
        cases.text(f"null/{name}/csv", to_csv(columns, table), CSV_TYPE)


def value_requests(cases, columns, rows):
    """Each odd value in each column, in each format; written as it stands."""
    for i, name in enumerate(columns):
        for literal in COLUMN_VALUES:
            usual = [json.dumps(cell, ensure_ascii=False) for cell in rows[0]]
            odd = [*usual[:i], literal, *usual[i + 1 :]]
            keys = [json.dumps(column, ensure_ascii=False) for column in columns]
            record = ", ".join(f"{key}: {cell}" for key, cell in zip(keys, odd))
            lists = ", ".join(f"{k}: [{a}, {b}]" for k, a, b in zip(keys, usual, odd))
            data = f"[[{', '.join(usual)}], [{', '.join(odd)}]]"
            names = ", ".join(keys)
            where = f"value/{name}/{literal}"
            cases.text(f"{where}/records", f'{{"dataframe_records": [{{{record}}}]}}')
            cases.text(
                f"{where}/split",
                f'{{"dataframe_split": {{"columns": [{names}], "data": {data}}}}}',
            )
            cases.text(f"{where}/inputs", f'{{"inputs": {{{lists}}}}}')
            cases.text(f"{where}/instances", f'{{"instances": [{{{record}}}]}}')
        for cell in CSV_VALUES:
            usual = to_csv(columns, [rows[0]])
            odd = to_csv(columns, [[*rows[0][:i], "@", *rows[0][i + 1 :]]]).splitlines()[1]
            body = f"{usual}{odd.replace('@', cell)}\n"
            cases.text(f"value/{name}/{cell}/csv", body, CSV_TYPE)


def nested_change(sample, change):
    """The sample with its first innermost list replaced."""
    if isinstance(sample, list) and sample and isinstance(sample[0], list):
        return [nested_change(sample[0], change), *sample[1:]]
    return change(sample)


def tensor_requests(cases, tensors, named):
    """`inputs` and `instances` of a model of tensors."""
    names = list(tensors)
    first = tensors[names[0]]
    for key in ("inputs", "instances"):

        def made(case, document, key=key):
            cases.json(f"{key}/{case}", {key: document})

        made("object", tensors)
        made("object with surplus", {**tensors, "surplus": [1]})
        made("object reordered", dict(reversed(tensors.items())))
        made("list", first)
        made("one row", first[:1])
        made("one row object", {name: sample[:1] for name, sample in tensors.items()})
        made("rows as objects", [dict(zip(names, row)) for row in zip(*tensors.values())])
        made("batch sizes differ", {**tensors, names[-1]: tensors[names[-1]][:1]})
        made("missing first", {name: tensors[name] for name in names[1:]})
        made("wrong name", {"wrong": first})
        made("rank too low", nested_change(first, lambda row: row[0]))
        made("rank too high", [first])
        made("wrong width", nested_change(first, lambda row: [*row, row[0]])[:1])
        made("narrow", nested_change(first, lambda row: row[:-1])[:1])
        made("ragged", [*first, [first[0]]])
        made("empty", [])
        made("empty object", {})
        made("no rows", {name: [] for name in names})
        made("empty rows", {name: [[], []] for name in names})
        made("null", None)
        made("scalar", 1)
        made("string", "a")
        made("doubled", {name: sample * 2 for name, sample in tensors.items()})
    columns = [f"c{i}" for i in range(len(first[0]))] if isinstance(first[0], list) else ["c0"]
    rows = first if isinstance(first[0], list) else [[cell] for cell in first]
    cases.json("split/as columns", {"dataframe_split": {"columns": columns, "data": rows}})
    cases.json("split/without columns", {"dataframe_split": {"data": rows}})
    if named:
        listed = [list(row) for row in zip(*tensors.values())]
        cases.json("split/tensors", {"dataframe_split": {"columns": names, "data": listed}})
        cases.json("records/tensors", {"dataframe_records": records_of(names, listed)})
    cases.text("csv/any", "c0,c1\n1,2\n", CSV_TYPE)


def tensor_value_requests(cases, tensors):
    """Each odd value at the first place of each tensor."""
    for name, sample in tensors.items():
        rest = ", ".join(f"{json.dumps(n)}: {json.dumps(s)}" for n, s in tensors.items() if n != name)
        for literal in TENSOR_VALUES:
            text = json.dumps(sample, ensure_ascii=False)
            depth = len(text) - len(text.lstrip("["))
            end = min(x for x in (text.find(","), text.find("]")) if x > 0)
            odd = text[:depth] + literal + text[end:]
            body = f"{json.dumps(name)}: {odd}" + (f", {rest}" if rest else "")
            cases.text(f"value/{name}/{literal}/inputs", f'{{"inputs": {{{body}}}}}')
            if not rest:
                cases.text(f"value/{name}/{literal}/list", f'{{"inputs": {odd}}}')


def columnar_requests(cases, where, columns, rows):
    """Rows of literals as `dataframe_split` and `dataframe_records`."""
    keys = [json.dumps(column, ensure_ascii=False) for column in columns]
    data = ", ".join(f"[{', '.join(row)}]" for row in rows)
    records = ", ".join(
        f"{{{', '.join(f'{key}: {cell}' for key, cell in zip(keys, row))}}}" for row in rows
    )
    names = ", ".join(keys)
    split = f'{{"dataframe_split": {{"columns": [{names}], "data": [{data}]}}}}'
    cases.text(f"{where}/split", split)
    cases.text(f"{where}/records", f'{{"dataframe_records": [{records}]}}')


def beside_requests(cases, columns, rows):
    """Two odd values in one column: pandas gives the whole column one type."""
    usual = [json.dumps(cell, ensure_ascii=False) for cell in rows[0]]
    for i, name in enumerate(columns):
        for first in BESIDE_VALUES:
            for second in BESIDE_VALUES:
                odd = [[*usual[:i], value, *usual[i + 1 :]] for value in (first, second)]
                columnar_requests(cases, f"beside/{name}/{first} and {second}", columns, odd)


def text_csv_requests(cases, columns):
    """Fields of CSV beside each other, where nothing says what they are."""
    header = ",".join(columns)
    for field in ["x", "5", "1.5", "NA", '""', "None", "true", "007", " x "]:
        for last in ["x", "5", "", "true"]:
            row = ",".join([field] * len(columns))
            cases.text(f"beside/csv/{field} and {last}", f"{header}\n{row}\n{last},z\n", CSV_TYPE)


def cell_requests(cases, name):
    """Two values of a tensor as a list in a cell."""
    for first in CELL_VALUES:
        for second in CELL_VALUES:
            odd = f"[{first}, {second}]"
            for case, rows in (("alone", [[odd]]), ("second", [["[1, 2]"], [odd]])):
                columnar_requests(cases, f"cell/{first} and {second}/{case}", [name], rows)
    for value in CELL_VALUES[:3]:
        columnar_requests(cases, f"cell/{value} instead/alone", [name], [[value]])
        columnar_requests(cases, f"cell/{value} instead/second", [name], [["[1, 2]"], [value]])


def text_requests(cases, where, columns, literals):
    """Each literal in all columns, in each format."""
    keys = [json.dumps(column, ensure_ascii=False) for column in columns]
    for literal in literals:
        columnar_requests(cases, f"{where}/{literal}", columns, [[literal] * len(columns)])
        lists = ", ".join(f"{key}: [{literal}]" for key in keys)
        record = ", ".join(f"{key}: {literal}" for key in keys)
        cases.text(f"{where}/{literal}/inputs", f'{{"inputs": {{{lists}}}}}')
        cases.text(f"{where}/{literal}/instances", f'{{"instances": [{{{record}}}]}}')


def protocol_requests(cases, good):
    """Content types, malformed documents and top-level keys, around a good document's text."""
    for content_type in (
        None,
        "application/json; charset=utf-8",
        "application/json; charset=UTF-8",
        "application/json;charset=utf-8",
        "application/json; charset=latin-1",
        'application/json; charset="utf-8"',
        "application/json; format=pandas-split",
        "application/json; profile=x; charset=utf-8",
        "Application/JSON",
        "application/xml",
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/csv; format=x",
        "text/csv; charset=latin-1",
        "application/json-patch",
    ):
        cases.text(f"content type/{content_type}", good, content_type)
    for case, body in {
        "empty": "",
        "blank": "  \n",
        "open brace": "{",
        "trailing comma": good[:-1] + ",}",
        "trailing text": good + " x",
        "trailing blank": good + " \n\t",
        "two documents": good + good,
        "single quotes": good.replace('"', "'"),
        "comment": "/* a */" + good,
        "list": "[1, 2]",
        "string": '"a"',
        "number": "1",
        "null": "null",
        "true": "true",
        "empty object": "{}",
        "unknown key only": '{"data": [1]}',
        "unknown key beside": good[:-1] + ', "signature_name": "x"}',
        "capital key": '{"Inputs": [1]}',
        "params beside": good[:-1] + ', "params": {"a": 1}}',
        "params list beside": good[:-1] + ', "params": [1]}',
        "params null beside": good[:-1] + ', "params": null}',
        "two formats": good[:-1] + ', "instances": [1]}',
        "same format twice": good[:-1] + ", " + good[1:],
        "null first, then itself": '{"inputs": null, ' + good[1:],
        "deep": "[" * 200 + "]" * 200,
        "control character": '{"inputs": "a\x01"}',
        "lone surrogate": '{"inputs": ["\\ud800"]}',
        "messages": '{"messages": [{"role": "user", "content": "hi"}]}',
        "prompt": '{"prompt": "hi"}',
        "input": '{"input": ["hi"]}',
        "byte order mark": "\ufeff" + good,
    }.items():
        cases.text(f"document/{case}", body)
    cases.raw("document/utf-16", good.encode("utf-16"))
    cases.raw("document/utf-32", good.encode("utf-32"))
    cases.raw("document/latin-1", '{"inputs": "\u00fc"}'.encode("latin-1"))
    cases.raw("document/parquet", b"PAR1 not a table", "application/vnd.apache.parquet")


def parameter_requests(cases, definition):
    """Values for `params`, beside a good table."""
    table = {"columns": definition.columns, "data": definition.rows}
    good = json.dumps({"dataframe_split": table}, ensure_ascii=False)
    cases.json("params/given", {"dataframe_split": table, "params": definition.params})
    for literal in PARAMETER_SETS:
        cases.text(f"params/{literal}", f'{good[:-1]}, "params": {literal}}}')


# Models that are asked the long lists too; the others only get the payload formats.
VALUES = {"columns_mixed", "columns_optional", "sum_long_double", "matrix_string_columns"}
PROTOCOL = {"logistic_zipmap", "two_tensors", "sum_no_signature"}
BESIDE = {"columns_mixed", "columns_optional", "matrix_string_columns", "text_no_signature"}


def requests_for(definition):
    """Everything that one model is asked."""
    cases = Cases()
    if definition.columns:
        columns, rows = definition.columns, definition.rows
        split_requests(cases, columns, rows)
        record_requests(cases, columns, rows)
        input_requests(cases, columns, rows)
        csv_requests(cases, columns, rows)
        null_requests(cases, columns, rows)
        if definition.name in VALUES:
            value_requests(cases, columns, rows)
        if definition.name in BESIDE:
            beside_requests(cases, columns, rows)
        if definition.name == "text_no_signature":
            text_csv_requests(cases, columns)
        if definition.name in ("matrix_string_columns", "text_no_signature"):
            text_requests(cases, "nul", columns, NUL_VALUES)
        if definition.name == "binary_columns":
            text_requests(cases, "base64", columns, BASE64_VALUES)
    if definition.tensors:
        if definition.name.startswith("tensor_"):
            cell_requests(cases, *definition.tensors)
        if definition.name == "tensor_string":
            for literal in NUL_VALUES:
                cases.text(f"nul/{literal}/list", f'{{"inputs": [[{literal}, "x"]]}}')
        tensor_requests(cases, definition.tensors, definition.named)
        tensor_value_requests(cases, definition.tensors)
    if definition.name in PROTOCOL:
        source = definition.tensors or columns_of(definition.columns, definition.rows)
        protocol_requests(cases, json.dumps({"inputs": source}, ensure_ascii=False))
    if definition.params is not None:
        parameter_requests(cases, definition)
    return cases.made
