// The kubectl commands that change what the console shows. The console itself changes nothing.

const SAFE = /^[A-Za-z0-9._:=@%+,/-]+$/;
const MEASURES = { microUnits: "spendPerPeriod", sessionMs: "sessionSecondsPerPeriod", sessions: "concurrentSessions" };
const SCOPES = { namespace: "limits", total: "total", integration: "perIntegration" };

// A word as a POSIX shell reads it.
export function quoted(word) {
  return SAFE.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

const line = (...words) => words.map((word) => quoted(String(word))).join(" ");

function patchPlan(plan, spec) {
  return line("kubectl", "patch", "mistralvoiceplan", plan, "--type", "merge", "--patch", JSON.stringify({ spec }));
}

export const hold = (plan, policy) => patchPlan(plan, { stopPolicy: policy });
export const enforce = (plan, enforcement) => patchPlan(plan, { enforcement });

// Two decimals, or as many more as an amount has, of the six that a plan may have.
const money = (amount) => amount.toFixed(6).replace(/(\.\d\d\d*?)0+$/, "$1");

// `amount` is what a person reads: money, hours or sessions.
export function limit(plan, scope, measure, amount) {
  const figure = measure === "microUnits" ? money(Number(amount)) : Math.round(Number(amount) * (measure === "sessionMs" ? 3600 : 1));
  return patchPlan(plan, { [SCOPES[scope]]: { [MEASURES[measure]]: figure } });
}

export function addKey(pool, key, secret, namespace) {
  const value = { name: key, secretRef: { name: secret } };
  const patch = [{ op: "add", path: "/spec/keys/-", value }];
  return [
    `${line("kubectl", "create", "secret", "generic", secret, "--namespace", namespace, "--from-file=apiKey=/dev/stdin")}   # paste the key, then Ctrl-D`,
    line("kubectl", "patch", "mistralkeypool", pool, "--type", "json", "--patch", JSON.stringify(patch)),
  ].join("\n");
}

// Refused by the API server where the pool's list has changed meanwhile: the test names the key that is meant.
export function retireKey(pool, index, key, retire) {
  const path = `/spec/keys/${index}`;
  const patch = [{ op: "test", path: `${path}/name`, value: key }, { op: "add", path: `${path}/retire`, value: retire }];
  return line("kubectl", "patch", "mistralkeypool", pool, "--type", "json", "--patch", JSON.stringify(patch));
}

export function costs(origin, path, from, to) {
  return `curl --header "Authorization: Bearer $TOKEN" ${quoted(`${origin}/api/v1${path}/costs?from=${from}&to=${to}`)}`;
}
