"""Validates Kubernetes manifests against the schemas of Kubernetes and of KServe.

Kubernetes' own kinds are validated by `kubernetes-validate`, strictly: a field that is not in the schema
is an error. KServe's are compared with the models of its Python package, which are generated from the same
definitions as its CRDs; they are read, and not imported, because importing them needs all of KServe. Fields
in them that are Kubernetes' own are validated as those.

Usage: validate_manifests.py VERSION[,VERSION…] KSERVE-PACKAGE < MANIFEST.yaml
Prints one line for each document and version, and ends with 1 when one is not valid. Documents of other
kinds are named and left to whoever knows them.
"""

import ast
import copy
import json
import pathlib
import re
import sys

import jsonschema
import kubernetes_validate
import yaml

SCHEMAS = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
KSERVE_GROUP = "serving.kserve.io"


def definitions(version):
    """Kubernetes' definitions of a version such as 1.33, strict."""
    path = SCHEMAS / f"v{version}.0-local-strict" / "_definitions.json"
    return json.loads(path.read_text())["$defs"]


class KServe:
    """The fields of KServe's models, from the text of their classes."""

    def __init__(self, package, kubernetes):
        self.models = {}
        self.kubernetes = kubernetes
        for path in pathlib.Path(package, "kserve", "models").glob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    self.models[node.name] = self.read(node, path.read_text())

    @staticmethod
    def read(node, text):
        tables = {}
        for statement in node.body:
            if isinstance(statement, ast.Assign) and statement.targets[0].id in ("openapi_types", "attribute_map"):
                tables[statement.targets[0].id] = ast.literal_eval(statement.value)
        required = re.findall(r"Invalid value for `(\w+)`, must not be `None`", text)
        names = tables.get("attribute_map", {})
        types = {names[name]: kind for name, kind in tables.get("openapi_types", {}).items()}
        return {"types": types, "required": {names[name] for name in required}}

    def check(self, value, kind, place):
        """Errors of a value of a kind, with their places."""
        if match := re.fullmatch(r"list\[(.+)\]", kind):
            if not isinstance(value, list):
                return [f"{place} is no list"]
            return [e for i, item in enumerate(value) for e in self.check(item, match[1], f"{place}[{i}]")]
        if match := re.fullmatch(r"dict\(str, (.+)\)", kind):
            if not isinstance(value, dict):
                return [f"{place} is no map"]
            return [e for key, item in value.items() for e in self.check(item, match[1], f"{place}.{key}")]
        plain = {"str": str, "bool": bool, "int": int, "float": (int, float)}
        if kind in plain:
            right = isinstance(value, plain[kind]) and (kind == "bool" or not isinstance(value, bool))
            return [] if right else [f"{place} is no {kind}: {value!r}"]
        if kind == "object":
            return []
        if kind in self.models:
            return self.check_model(value, self.models[kind], place)
        return self.check_kubernetes(value, kind, place)

    def check_model(self, value, model, place):
        if not isinstance(value, dict):
            return [f"{place} is no map"]
        errors = [f"{place} lacks {name}" for name in model["required"] if name not in value]
        for key, item in value.items():
            if key not in model["types"]:
                errors.append(f"{place} has no field {key}")
            else:
                errors += self.check(item, model["types"][key], f"{place}.{key}")
        return errors

    def check_kubernetes(self, value, kind, place):
        name = re.sub(r"^V1", "", kind)
        candidates = [f"io.k8s.api.core.v1.{name}", f"io.k8s.apimachinery.pkg.apis.meta.v1.{name}"]
        found = [candidate for candidate in candidates if candidate in self.kubernetes]
        if not found:
            return [f"{place} is of the unknown type {kind}"]
        schema = {"$ref": f"#/$defs/{found[0]}", "$defs": self.kubernetes}
        validator = jsonschema.Draft202012Validator(schema)
        return [f"{place}{error.json_path[1:]}: {error.message}" for error in validator.iter_errors(value)]


def validate(document, version, kserve):
    """Errors of a document; none means that nobody here knows its kind."""
    group = document["apiVersion"].rpartition("/")[0]
    if group == KSERVE_GROUP:
        prefix = document["apiVersion"].rpartition("/")[2].capitalize()
        return kserve.check(document, prefix + document["kind"], document["kind"])
    if "." in group and not group == "networking.k8s.io":
        return None
    try:
        kubernetes_validate.validate(copy.deepcopy(document), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(str(step) for step in error.path)}: {error.message}"]
    return []


def main():
    versions, package = sys.argv[1].split(","), sys.argv[2]
    # The oldest reader of YAML that there is: what it takes for a text is one everywhere.
    documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
    failed = not documents
    for version in versions:
        kserve = KServe(package, definitions(version))
        for document in documents:
            errors = validate(document, version, kserve)
            said = "unknown" if errors is None else "valid" if not errors else "; ".join(errors)
            print(f"{version} {document['apiVersion']} {document['kind']} {document['metadata']['name']}: {said}")
            failed = failed or bool(errors)
    sys.exit(1 if failed else 0)


main()
