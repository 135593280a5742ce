import sys
import time

from kubernetes import client, config
from kubernetes.stream import stream

name, namespace, container = sys.argv[1:]
config.load_kube_config()
pods = client.CoreV1Api()
for _ in sys.stdin:
    started = time.perf_counter()
    process = stream(
        pods.connect_get_namespaced_pod_exec,
        name,
        namespace,
        container=container,
        command=["true"],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _preload_content=False,
    )
    process.run_forever()
    if process.returncode != 0:
        sys.exit(f"true ended with {process.returncode}")
    process.close()
    print(time.perf_counter() - started, flush=True)
