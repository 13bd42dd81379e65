{{- /* What the operator's and the gateway's objects share; called with root, part ("operator" or "gateway") and, for the
       Deployment, args, ports, probes (the name of the port that answers them) and strategy. */ -}}

{{- define "asiarch.metadata" -}}
name: {{ include "asiarch.fullname" .root }}-{{ .part }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "asiarch.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "asiarch.selectorOf" -}}
{{ include "asiarch.selector" .root }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "asiarch.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "asiarch.metadata" . | nindent 2 }}
automountServiceAccountToken: false # the pod asks for its token by itself
{{- end }}

{{- define "asiarch.deployment" -}}
{{- $values := index .root.Values .part -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "asiarch.metadata" . | nindent 2 }}
spec:
  replicas: {{ $values.replicas }}
  revisionHistoryLimit: 3
  strategy:
    type: {{ .strategy }}
  selector:
    matchLabels:
      {{- include "asiarch.selectorOf" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "asiarch.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .part }}
      {{- with $values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "asiarch.pod" (merge (dict "values" $values) .) | nindent 6 }}
{{- end }}

{{- define "asiarch.pod" -}}
serviceAccountName: {{ include "asiarch.fullname" .root }}-{{ .part }}
automountServiceAccountToken: true
enableServiceLinks: {{ eq .part "operator" }}
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
- name: {{ .part }}
  image: {{ include "asiarch.image" (dict "root" .root "part" "operator") }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  args:
    {{- toYaml .args | nindent 4 }}
  {{- with .values.extraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
  {{- range $name, $port := .ports }}
  - name: {{ $name }}
    containerPort: {{ $port }}
    protocol: TCP
  {{- end }}
  startupProbe:
    httpGet:
      path: /livez
      port: {{ .probes }}
    periodSeconds: 2
    failureThreshold: 30
  livenessProbe:
    httpGet:
      path: /livez
      port: {{ .probes }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  readinessProbe:
    httpGet:
      path: /readyz
      port: {{ .probes }}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 2
  resources:
    {{- toYaml .values.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
  volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with .values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" }}
{{- with index $.values $field }}
{{ toYaml (dict $field .) }}
{{- end }}
{{- end }}
{{- end }}
