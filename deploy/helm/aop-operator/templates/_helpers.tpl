{{/* The chart's name, for labels. */}}
{{- define "aop-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of objects: the release's and the chart's, or once where one holds the other. */}}
{{- define "aop-operator.fullname" -}}
{{- $name := include "aop-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes in the life of a release: a Deployment's selector cannot. */}}
{{- define "aop-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "aop-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "aop-operator.labels" -}}
{{ include "aop-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- if ne .Values.creator "static" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "aop-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "aop-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "aop-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where AuthenticatedOriginPulls are served, as a list in JSON; empty: in all namespaces. */}}
{{- define "aop-operator.servedNamespaces" -}}
{{- ternary list (default (list .Release.Namespace) .Values.watchNamespaces) .Values.rbac.allSecrets | toJson -}}
{{- end -}}

{{/* The ConfigMaps of ingress controllers that may be written, as a list of NAMESPACE/NAME in JSON; empty: any, or none where there are workloads or Gateways. */}}
{{- define "aop-operator.configMaps" -}}
{{- $found := list -}}
{{- if not .Values.rbac.allConfigMaps -}}
{{- range .Values.ingressConfigMaps -}}{{- $found = append $found (printf "%s/%s" .namespace .name) -}}{{- end -}}
{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* All ConfigMaps that may be written, those of workloads and Gateways included, in the same form; empty: any. */}}
{{- define "aop-operator.allowedConfigMaps" -}}
{{- $found := list -}}
{{- if not .Values.rbac.allConfigMaps -}}
{{- $found = include "aop-operator.configMaps" . | fromJsonArray -}}
{{- range concat .Values.workloads .Values.gateways -}}{{- $found = append $found (printf "%s/%s" .namespace .configMap) -}}{{- end -}}
{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* Whether any ingress controller may be configured: only then is anything known of Ingresses. */}}
{{- define "aop-operator.ingresses" -}}
{{- if or .Values.ingressConfigMaps .Values.rbac.allConfigMaps -}}true{{- end -}}
{{- end -}}

{{/* The namespaces of workloads, once each, as a list in JSON. */}}
{{- define "aop-operator.workloadNamespaces" -}}
{{- $found := list -}}
{{- range .Values.workloads -}}{{- $found = append $found .namespace -}}{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The namespaces of Gateways, once each, as a list in JSON. */}}
{{- define "aop-operator.gatewayNamespaces" -}}
{{- $found := list -}}
{{- range .Values.gateways -}}{{- $found = append $found .namespace -}}{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The namespaces in which the proxies of those Gateways run, once each, as a list in JSON. */}}
{{- define "aop-operator.proxyNamespaces" -}}
{{- $found := list -}}
{{- range .Values.gateways -}}{{- $found = append $found (default "envoy-gateway-system" .proxyNamespace) -}}{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* Whether what belongs to Gateways in all namespaces may be listed. */}}
{{- define "aop-operator.routes" -}}
{{- if and .Values.rbac.allRoutes .Values.gateways -}}true{{- end -}}
{{- end -}}

{{/* The namespaces of those ConfigMaps, once each, as a list in JSON. */}}
{{- define "aop-operator.controllerNamespaces" -}}
{{- $found := list -}}
{{- range include "aop-operator.configMaps" . | fromJsonArray -}}{{- $found = append $found (splitList "/" . | first) -}}{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The environment of the operator: the release's values as AOP_* variables; what is not set is left to the operator's own defaults. */}}
{{- define "aop-operator.env" -}}
{{- $env := dict
  "AOP_LOG_LEVEL" .Values.settings.logLevel
  "AOP_LOG_FORMAT" .Values.settings.logFormat
  "AOP_CLOUDFLARE_BASE_URL" .Values.settings.cloudflareBaseUrl
  "AOP_EDGE_CONNECT_TO" (join "," .Values.settings.edgeConnectTo)
  "AOP_EDGE_CA_FILE" .Values.settings.edgeCaFile
  "AOP_LEASE_NAME" (include "aop-operator.fullname" .)
  "AOP_LEASE_S" .Values.settings.leaseSeconds
  "AOP_RESYNC_S" .Values.settings.resyncSeconds
  "AOP_RECHECK_S" .Values.settings.recheckSeconds
  "AOP_AWAITED_RECHECK_S" .Values.settings.awaitedRecheckSeconds
  "AOP_PROBE_TIMEOUT_S" .Values.settings.probeTimeoutSeconds
  "AOP_REPLICA_RECHECK_S" .Values.settings.replicaRecheckSeconds
  "AOP_EDGE_CADENCE_S" .Values.settings.edgeCadenceSeconds
  "AOP_EDGE_REQUESTS_PER_S" .Values.settings.edgeRequestsPerSecond
  "AOP_QUIET_PERIOD_S" .Values.settings.quietPeriodSeconds
  "AOP_TEARDOWN_PATIENCE_S" .Values.settings.teardownPatienceSeconds
  "AOP_BUDGET_SHARE" .Values.settings.budgetShare
  "AOP_BUDGET_RESYNC_SHARE" .Values.settings.budgetResyncShare
  "AOP_LISTEN_ADDRESS" .Values.ports.address
  "AOP_HEALTH_PORT" .Values.ports.health
  "AOP_METRICS_PORT" .Values.ports.metrics
  "AOP_NAMESPACE" .Release.Namespace
  "AOP_WATCH_NAMESPACES" (include "aop-operator.servedNamespaces" . | fromJsonArray | join ",")
  "AOP_INGRESS_CONFIG_MAPS" (include "aop-operator.allowedConfigMaps" . | fromJsonArray | join ",")
  "AOP_LIST_ALL_INGRESSES" (ternary "" "false" (and .Values.rbac.allIngresses (eq (include "aop-operator.ingresses" .) "true")))
  "AOP_LIST_INGRESS_ROUTES" (ternary "true" "" .Values.rbac.allIngressRoutes)
  "AOP_LIST_ROUTES" (include "aop-operator.routes" .)
  "AOP_PROXY_NAMESPACES" (include "aop-operator.proxyNamespaces" . | fromJsonArray | join ",")
-}}
{{- range .Values.extraEnv -}}{{- $_ := unset $env .name -}}{{- end -}}
{{- range $name, $value := $env }}
{{- if not (has (toString $value) (list "" "<nil>")) }}
- name: {{ $name }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The job label that this release's series get, whichever monitor finds them. */}}
{{- define "aop-operator.job" -}}
{{- printf "%s/%s" .Release.Namespace (include "aop-operator.fullname" .) -}}
{{- end -}}

{{/* How both monitors read the metrics. The namespace of a series is its object's, so what is read keeps its labels. */}}
{{- define "aop-operator.endpoint" -}}
- port: metrics
  path: /metrics
  interval: {{ .Values.monitoring.interval }}
  honorLabels: true
  relabelings:
    - {targetLabel: job, replacement: {{ include "aop-operator.job" . }}}
{{- end -}}

{{/* What a schema cannot say. */}}
{{- define "aop-operator.check" -}}
{{- if and .Values.watchNamespaces .Values.rbac.allSecrets -}}
{{- fail "rbac.allSecrets serves all namespaces, and watchNamespaces names some: set one of the two" -}}
{{- end -}}
{{- if not (or .Values.ingressConfigMaps .Values.rbac.allConfigMaps .Values.workloads .Values.gateways) -}}
{{- fail "ingressConfigMaps is empty, so the operator may configure no ingress controller, and workloads and gateways are empty, too. Name its ConfigMap, such as [{namespace: ingress-nginx, name: ingress-nginx-controller}]; rbac.allConfigMaps allows any" -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled -}}
{{- fail "monitoring.podMonitor and monitoring.serviceMonitor would have every series read twice: enable one of the two" -}}
{{- end -}}
{{- if and (or .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled) (not .Values.ports.metrics) -}}
{{- fail "ports.metrics is 0, so there is nothing for a monitor to read: set it, or disable monitoring.podMonitor and monitoring.serviceMonitor" -}}
{{- end -}}
{{- if eq (int .Values.ports.health) (int .Values.ports.metrics) -}}
{{- fail "ports.health and ports.metrics are the same: change one, or set ports.metrics to 0" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: the namespace's default ServiceAccount would get the operator's permissions. Name one, or set rbac.create to false" -}}
{{- end -}}
{{- end -}}
