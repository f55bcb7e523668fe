// Validates objects of kinds that are not Kubernetes' own against the schemas of their CRDs.
//
// Usage: node validate.mjs FOLDER-OF-PACKAGES < OBJECTS.json
// The input is a list; objects of other kinds are left out. Prints a line for each object, and ends with 1
// when one is not valid: lacks a field, or has one of another type. These schemas allow fields that they do
// not know.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const packages = resolve(process.argv[2], "node_modules/@kubernetes-models");
const load = (path) => import(pathToFileURL(join(packages, path)));
const { HTTPRoute } = await load("gateway-api/gateway.networking.k8s.io/v1/index.js");
const { ServiceMonitor } = await load("prometheus-operator/monitoring.coreos.com/v1/index.js");
const kinds = {
  "gateway.networking.k8s.io/v1 HTTPRoute": HTTPRoute,
  "monitoring.coreos.com/v1 ServiceMonitor": ServiceMonitor,
};

for (const body of JSON.parse(readFileSync(0, "utf8"))) {
  const kind = `${body.apiVersion} ${body.kind}`;
  if (!(kind in kinds)) continue;
  try {
    new kinds[kind](body).validate();
    console.log(`${kind} ${body.metadata.name}: valid`);
  } catch (error) {
    console.log(`${kind} ${body.metadata.name}: ${error.message}`);
    process.exitCode = 1;
  }
}
