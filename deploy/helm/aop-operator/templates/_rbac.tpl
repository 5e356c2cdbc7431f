{{/*
Every permission, with its reason. The comments are rendered, so that whoever reads the manifests sees them; docs/install.md lists the same. The
test suite proves from the API server's audit log that none is missing and none is unused, in each of the forms in which they are granted.
*/}}

{{/* Where AuthenticatedOriginPulls are served: in each served namespace, or in the whole cluster. */}}
{{- define "aop-operator.rules.served" -}}
# The resource: watched, listed now and then in case a watch hangs, and its record and finalizer written.
- apiGroups: [aop-operator.dev]
  resources: [authenticatedoriginpulls]
  verbs: [list, watch, patch]
# The status: what the operator sees, and what it waits for.
- apiGroups: [aop-operator.dev]
  resources: [authenticatedoriginpulls/status]
  verbs: [patch]
# Key pairs: created, renewed; the API token and referenced key pairs: read by name. List and watch only with the operator's label, which no Role can say.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update]
# To notice a change of a ConfigMap with the operator's label at once. List and watch only with that label.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
# The operator's own Events, beside the object they are about.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- if and (not .Values.rbac.allIngresses) (include "aop-operator.ingresses" .) }}
{{ include "aop-operator.rules.ingresses" . }}
{{- end }}
{{- end -}}

{{/* Where the operator itself runs. */}}
{{- define "aop-operator.rules.home" -}}
# The Lease by which the replicas decide which one acts: one, by name.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "aop-operator.fullname" . }}]
  verbs: [get, update]
# Created where there is none: a Role cannot limit the creation of objects to a name.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- if not (or .Values.rbac.allSecrets (has .Release.Namespace (include "aop-operator.servedNamespaces" . | fromJsonArray))) }}
# The operator's own Events in its own namespace: what it serves, and what a removal left at Cloudflare where the object's namespace is being deleted.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}
{{- end -}}

{{/* Where only some Ingresses may be listed. */}}
{{- define "aop-operator.rules.ingresses" -}}
# Which hosts a controller serves here, and whether one of them verifies by itself.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch]
{{- end -}}

{{/* Where ingress controllers run; `names` are the ConfigMaps that may be written, empty: any. */}}
{{- define "aop-operator.rules.controllers" -}}
# The ingress controller's ConfigMap: read and written by name.
- apiGroups: [""]
  resources: [configmaps]
  {{- with .names }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [get, update]
# Which pods read that ConfigMap, and where they listen.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Why a controller rejected a text: its Warning RELOAD Events.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- end -}}

{{/* Where workloads run whose server is configured; `workloads` are those of one namespace. */}}
{{- define "aop-operator.rules.workloads" -}}
{{- $maps := list -}}
{{- $named := dict -}}
{{- range .workloads -}}
{{- $maps = append $maps .configMap -}}
{{- $resource := printf "%ss" (lower .kind) -}}
{{- $_ := set $named $resource (append (default list (get $named $resource)) .name) -}}
{{- end -}}
# The ConfigMap of a workload's server: created with the first claim, which no Role can limit to a name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
# The same ConfigMap: read and written by name, and deleted with the last claim.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: {{ $maps | uniq | sortAlpha | toJson }}
  verbs: [get, update, delete]
# Which pods read that ConfigMap.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Why a new pod does not start.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
# Which pod template mounts that ConfigMap, and with which text its pods start.
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [list, watch]
# The annotation on the pod template that has its pods replaced.
{{- range $resource, $names := $named }}
- apiGroups: [apps]
  resources: [{{ $resource }}]
  resourceNames: {{ $names | uniq | sortAlpha | toJson }}
  verbs: [patch]
{{- end }}
{{- end -}}

{{/* Where Gateways of Envoy Gateway are; `maps` are the ConfigMaps of those in one namespace. */}}
{{- define "aop-operator.rules.gateways" -}}
# The ConfigMap with the Gateway's script, by name.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: {{ .maps | uniq | sortAlpha | toJson }}
  verbs: [get, update]
# Which class the Gateway is of, and which hosts its listeners take.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [list, watch]
# Which policy has the Gateway run that script, and whether Envoy Gateway accepts it.
- apiGroups: [gateway.envoyproxy.io]
  resources: [envoyextensionpolicies]
  verbs: [list, watch]
{{- end -}}

{{/* Where the proxies of Gateways run. */}}
{{- define "aop-operator.rules.proxies" -}}
# Which pods are a Gateway's proxies.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Why a proxy does not start.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- end -}}

{{/* In the whole cluster, whatever is served: what belongs to no namespace, or may be anywhere. */}}
{{- define "aop-operator.rules.cluster" -}}
{{- if and .Values.rbac.allIngresses (include "aop-operator.ingresses" .) }}
# Which hosts a controller serves, and whether one of them verifies by itself: whoever may create an Ingress can bring a host from any namespace.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch]
# Which classes of Ingresses belong to a controller.
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [list, watch]
{{- end }}
{{- if .Values.rbac.allIngressRoutes }}
# Which routers of Traefik serve a host and bypass the operator's: whoever may create one can bring it from any namespace.
- apiGroups: [traefik.io]
  resources: [ingressroutes, ingressroutetcps]
  verbs: [list, watch]
# The same of Ingresses and routes of the Gateway API that Traefik serves; and whose they are.
- apiGroups: [networking.k8s.io]
  resources: [ingresses, ingressclasses]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes, gateways, gatewayclasses, listenersets]
  verbs: [list, watch]
{{- end }}
{{- if include "aop-operator.routes" . }}
# Which hosts a Gateway serves, and by which other names: a route may be in any namespace.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes, listenersets]
  verbs: [list, watch]
# Whose a Gateway is.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [list, watch]
{{- end }}
{{- if .Values.rbac.allSecrets }}
{{ include "aop-operator.rules.served" . }}
# So that the watch layer notices when the resource is installed after the operator.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
{{- end }}
{{- if .Values.rbac.allConfigMaps }}
{{ include "aop-operator.rules.controllers" dict }}
{{- if not .Values.rbac.allSecrets }}
# Claims whose object is gone are found by a label on the ConfigMap.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list]
{{- end }}
{{- end }}
{{- end -}}

{{/* A Role or ClusterRole and its binding: `root`, `kind`, `name`, `namespace` (none for a ClusterRole) and `rules` as text. */}}
{{- define "aop-operator.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "aop-operator.labels" .root | nindent 4 }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "aop-operator.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "aop-operator.serviceAccountName" .root }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}
