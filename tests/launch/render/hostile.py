"""A folder's name with everything that a shell, Compose or Kubernetes could expand."""

HOSTILE = "/models/$(touch /tmp/owned)/`id`/'\"\\ $HOME 模型"
