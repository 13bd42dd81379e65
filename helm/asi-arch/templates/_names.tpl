{{- define "asiarch.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- /* A release called after the product needs no second name. 40 characters leave room for "-gateway" in a label. */ -}}
{{- define "asiarch.fullname" -}}
{{- $name := include "asiarch.name" . -}}
{{- $own := or (contains $name .Release.Name) (contains "asiarch" .Release.Name) -}}
{{- .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) $own) | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- /* Cluster-scoped names carry the namespace, so that releases in two namespaces never meet. */ -}}
{{- define "asiarch.clusterName" -}}
{{- printf "asiarch:%s:%s:%s" .root.Release.Namespace (include "asiarch.fullname" .root) .part -}}
{{- end }}

{{- define "asiarch.labels" -}}
{{- $own := include "asiarch.selector" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- omit (merge $own .Values.commonLabels) "app.kubernetes.io/component" | toYaml -}}
{{- end }}

{{- define "asiarch.selector" -}}
app.kubernetes.io/name: {{ include "asiarch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The namespaces in which searches run, as a JSON list; cluster-wide, those that this release prepares. */ -}}
{{- define "asiarch.namespaces" -}}
{{- .Values.watch.namespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end }}

{{- define "asiarch.image" -}}
{{- $image := index .root.Values.images .part -}}
{{- $named := regexMatch "^([^/]*[.:][^/]*|localhost)/" $image.repository -}}
{{- if not (or .root.Values.images.registry $named $image.digest (eq .root.Values.images.pullPolicy "Never")) -}}
{{- fail (printf "images.registry: found nothing, wanted the registry that you pushed the images to: nobody publishes any. Or set images.%s.digest, or images.pullPolicy=Never for images that every node has already." .part) -}}
{{- end -}}
{{- with .root.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{- /* Where agents find the gateway. By service links a variable of the operator's pod holds the Service's address, which
       the operator writes into agents' pods, so that they need no DNS. */ -}}
{{- define "asiarch.gatewayArgs" -}}
{{- $service := printf "%s-gateway" (include "asiarch.fullname" .) -}}
{{- $host := printf "%s.%s.svc" $service .Release.Namespace -}}
{{- $address := printf "$(%s_SERVICE_HOST)" ($service | upper | replace "-" "_") -}}
{{- with .Values.operator.gatewayUrl }}{{ $address = $.Values.operator.gatewayAddress }}{{ end -}}
- --gateway-url={{ .Values.operator.gatewayUrl | default (printf "http://%s:%d" $host (int .Values.gateway.port)) }}
{{- with $address }}
- --gateway-address={{ . }}
{{- end }}
{{- end }}

{{- define "asiarch.workload" -}}
app.kubernetes.io/managed-by: asiarch
{{- end }}

{{- define "asiarch.crdMetadata" -}}
labels:
  {{- include "asiarch.labels" . | nindent 2 }}
{{- if .Values.crds.keep }}
annotations:
  helm.sh/resource-policy: keep
{{- end }}
{{- end }}
