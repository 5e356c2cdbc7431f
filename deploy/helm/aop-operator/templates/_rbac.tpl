{{/*
Every permission, with its reason. The comments are rendered, so that whoever reads the manifests sees them; docs/install.md lists the same. The
test suite proves from the API server's audit log that none is missing and none is unused, in each of the three forms in which they are granted.
*/}}

{{/* Where AuthenticatedOriginPulls are served: in the whole cluster, or in each of watchNamespaces. */}}
{{- define "aop-operator.rules.served" -}}
# The resource: watched, read before each decision, and its record and finalizer written.
- apiGroups: [aop-operator.dev]
  resources: [authenticatedoriginpulls]
  verbs: [get, list, watch, patch]
# What was seen and what is awaited.
- apiGroups: [aop-operator.dev]
  resources: [authenticatedoriginpulls/status]
  verbs: [patch]
# Key pairs: created, renewed; the API token and referenced key pairs: read by name. List and watch only with our label.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update]
# A change of a ConfigMap with our label is noticed at once. List and watch only with that label.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
# The operator's own Events, beside the object they are about.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# Which hosts a controller serves, and whether one of them verifies by itself.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list]
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
  verbs: [list]
# Why a controller rejected a text: its Warning RELOAD Events.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
{{- end -}}

{{- define "aop-operator.rules.ingressClasses" -}}
# Which classes of Ingresses are a controller's.
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [list]
{{- end -}}

{{- define "aop-operator.rules.cluster" -}}
{{ include "aop-operator.rules.ingressClasses" . }}
# The watch layer notices when the resource is installed after the operator.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
{{- end -}}

{{/* A binding's end: who gets it. */}}
{{- define "aop-operator.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "aop-operator.serviceAccountName" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}
