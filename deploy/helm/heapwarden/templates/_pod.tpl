{{/*
Parts of a pod. Charts of your own take them in with this chart's context, so that its values count:
  {{- include "heapwarden.agent" .Subcharts.heapwarden | nindent 8 }}
*/}}

{{- define "heapwarden.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "heapwarden.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.user.uid }}
runAsGroup: {{ .Values.user.gid }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "heapwarden.reporterImage" -}}
image: {{ printf "%s:%s" .Values.reporterImage.repository (default .Chart.AppVersion .Values.reporterImage.tag) | quote }}
imagePullPolicy: {{ .Values.reporterImage.pullPolicy }}
resources:
  requests: {cpu: 5m, memory: 16Mi}
  limits: {cpu: 100m, memory: 32Mi}
{{- end -}}

{{/* The first init container: Node does not start when a file that it is to preload is missing. */}}
{{- define "heapwarden.reporter" -}}
- name: reporter
  {{- include "heapwarden.reporterImage" . | nindent 2 }}
  securityContext:
    {{- include "heapwarden.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - name: reporter
      mountPath: /reporter
{{- end -}}

{{/* The agent: among containers, or as a native sidecar among init containers after the reporter. */}}
{{- define "heapwarden.agent" -}}
- name: heapwarden
  image: {{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if eq .Values.mode "native-sidecar" }}
  restartPolicy: Always
  {{- end }}
  args: [watch, --config, /etc/heapwarden/heapwarden.yaml]
  env:
    {{- if eq .Values.mode "node-agent" }}
    - name: HEAPWARDEN_NODE_NAME
      valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
    {{- end }}
    - name: HEAPWARDEN_POD_NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
    - name: HEAPWARDEN_POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
    - name: HEAPWARDEN_POD_UID
      valueFrom: {fieldRef: {fieldPath: metadata.uid}}
    {{- if include "heapwarden.usesApi" . }}
    - name: HEAPWARDEN_SERVICE_ACCOUNT
      value: /run/secrets/heapwarden
    {{- end }}
  ports:
    - name: heapwarden
      containerPort: 9797
  {{- if eq .Values.mode "native-sidecar" }}
  startupProbe:
    httpGet:
      path: /livez
      port: heapwarden
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 60
  {{- end }}
  readinessProbe:
    {{- if eq .Values.mode "node-agent" }}
    httpGet:
      path: /livez
      port: heapwarden
    periodSeconds: 5
    timeoutSeconds: 5
    {{- else }}
    httpGet:
      path: /readyz
      port: heapwarden
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 2
    {{- end }}
  livenessProbe:
    httpGet:
      path: /livez
      port: heapwarden
    {{- if ne .Values.mode "native-sidecar" }}
    initialDelaySeconds: 10
    {{- end }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  securityContext:
    {{- if eq .Values.mode "parts" }}
    runAsUser: {{ .Values.user.uid }}
    runAsGroup: {{ .Values.user.gid }}
    {{- end }}
    {{- include "heapwarden.containerSecurity" . | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    - name: settings
      mountPath: /etc/heapwarden
      readOnly: true
    - name: socket
      mountPath: /run/heapwarden
    - name: state
      mountPath: /var/lib/heapwarden
    {{- if eq .Values.mode "node-agent" }}
    - name: cgroup
      mountPath: /host/sys/fs/cgroup
      readOnly: true
    {{- end }}
    {{- if include "heapwarden.usesApi" . }}
    - name: api
      mountPath: /run/secrets/heapwarden
      readOnly: true
    {{- end }}
{{- end -}}

{{/* Of the app's container. */}}
{{- define "heapwarden.appEnv" -}}
- name: NODE_OPTIONS
  value: {{ printf "--require /reporter/heapwarden.cjs %s" .Values.app.nodeOptions | trim | quote }}
- name: HEAPWARDEN_SOCKET
  value: /run/heapwarden/agent.sock
{{- end -}}

{{- define "heapwarden.appVolumeMounts" -}}
- name: reporter
  mountPath: /reporter
  readOnly: true
- name: socket
  mountPath: /run/heapwarden
  readOnly: true
{{- end -}}

{{/* Volumes of a pod with the agent in it. */}}
{{- define "heapwarden.volumes" -}}
- name: settings
  configMap:
    name: {{ include "heapwarden.name" . }}-heapwarden
- name: reporter
  emptyDir: {sizeLimit: 1Mi}
- name: socket
  emptyDir: {sizeLimit: 1Mi}
- name: state
  emptyDir: {sizeLimit: {{ .Values.state.sizeLimit }}}
{{ include "heapwarden.apiVolume" . }}
{{- end -}}

{{/* The token of the Kubernetes API, for the agent's container alone. */}}
{{- define "heapwarden.apiVolume" -}}
{{- if include "heapwarden.usesApi" . -}}
- name: api
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end -}}
{{- end -}}

{{/* What the pods of every workload of this chart have. */}}
{{- define "heapwarden.podMetadata" -}}
labels:
  {{- include "heapwarden.selector" . | nindent 2 }}
  {{- include "heapwarden.podLabels" . | nindent 2 }}
  {{- with .Values.pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- include "heapwarden.podAnnotations" . | nindent 2 }}
  {{- with .Values.pod.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "heapwarden.podPlace" -}}
serviceAccountName: {{ include "heapwarden.name" . }}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $.Values.pod $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
securityContext:
  {{- include "heapwarden.podSecurity" . | nindent 2 }}
{{- end -}}
