"""Orders for the processes that fetch and may be killed (killed.py)."""

import json
from pathlib import Path

from standin import Hub

CHILD = Path(__file__).with_name("killed.py")


def order_of(hub: Hub, repo: str, folder: Path, order: Path) -> Path:
    """Write down all files of a repository, to be fetched into `folder`; answers the order's path."""
    repository = hub.repositories[repo]
    targets = []
    for path, file in repository.commits[repository.refs["main"]].items():
        algorithm, digest = ("sha256", file.sha256) if file.lfs else ("git-sha1", file.oid)
        url = f"{hub.url}/{repo}/resolve/{repository.refs['main']}/{path}"
        targets.append({"name": path, "url": url, "size": file.size, "algorithm": algorithm, "digest": digest})
    order.write_text(json.dumps({"folder": str(folder), "targets": targets}))
    return order
