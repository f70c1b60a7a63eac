"""What a person reads at the end of `make demo`."""

from tests.cluster import NodeCluster
from tests.demo.place import FOLDER, INTEGRATION, MANIFESTS, REPOSITORY, SYSTEM, TEAM

_NEXT = f"""\
What to try next, after `. .demo/env`:
  kubectl explain mistralvoiceintegrations.spec                what can be set
  kubectl -n {TEAM} describe mvi {INTEGRATION}                          conditions, and events in words
  kubectl -n {TEAM} get all,netpol,pdb -l voice.contractspec.io/integration={INTEGRATION}     what the operator made of it

  Talk to it:
    kubectl -n {TEAM} port-forward service/{INTEGRATION}-voice 8080 &
    mistral-voice talk --url ws://127.0.0.1:8080/v1/realtime --token-file .demo/token --in .demo/question.wav --out .demo/reply.wav
    (A forwarded port ends with its pod, as when you break or delete something below: then start `port-forward` again.)
  The token, as clients get it:
    kubectl -n {TEAM} get secret {INTEGRATION}-voice-token -o jsonpath='{{.data.token}}' | base64 -d
  With OpenAI's Python client, unchanged but for address and key:
    client = AsyncOpenAI(base_url="http://127.0.0.1:8080/v1", api_key=open(".demo/token").read())
    async with client.realtime.connect(model="mistral-medium-latest") as connection:
        print(await connection.recv())

  Have the key checked every 30 s instead of every 5 minutes, so that the next two show soon:
    kubectl -n {TEAM} patch mvi {INTEGRATION} --type merge -p '{{"spec": {{"healthCheck": {{"intervalSeconds": 30}}}}}}'
  Rotate the key: an event `KeyRotated` follows, and the gateway uses the new key within two minutes, without a restart:
    kubectl -n {TEAM} create secret generic mistral --from-file=apiKey=.demo/mistral/second-key --dry-run=client -o yaml \\
      | kubectl apply --server-side --force-conflicts -f - && kubectl -n {TEAM} events --for mvi/{INTEGRATION} --watch
  Break it, and watch it say so; `make demo` mends it (again, if its question comes before the gateway has the new key, within two minutes):
    kubectl -n {TEAM} patch secret mistral -p '{{"stringData": {{"apiKey": "wrong"}}}}' && kubectl -n {TEAM} get mvi -w
  Ask for something that can't be:
    kubectl -n {TEAM} patch mvi {INTEGRATION} --type merge -p '{{"spec": {{"mode": "managed"}}}}'
  Delete what the operator made, and see it come back:
    kubectl -n {TEAM} delete deployment {INTEGRATION}-voice && kubectl -n {TEAM} get deployments -w
  The operator's metrics and log:
    kubectl -n {SYSTEM} port-forward service/mistral-voice-operator 9090 & sleep 3; curl -s 127.0.0.1:9090/metrics | grep ^mistral_voice
    kubectl -n {SYSTEM} logs deployment/mistral-voice-operator

`make demo-down` removes all of it.
"""


def report(cluster: NodeCluster, talk: str) -> str:
    """Return the end of the demo: the resource, what was said, how quickly, and what to try next. `talk` is what the client printed."""
    integration = "".join(f"  {line}\n" for line in (MANIFESTS / "integration.yaml").read_text().splitlines())
    table = cluster.kubectl("--namespace", TEAM, "get", "mvi", "--output", "wide").stdout
    conversation = "".join(f"  {line}\n" for line in talk.splitlines())
    reply = (FOLDER / "reply.wav").relative_to(REPOSITORY)
    question = (FOLDER / "question.wav").relative_to(REPOSITORY)
    return (
        f"\nThese twelve lines\n\n{integration}\nbecame\n\n{table}\n"
        f"A question in {question} went in, and its answer came out in {reply}:\n\n{conversation}\n{_NEXT}"
    )
