{{/* An image, by its digest where there is one. */}}
{{- define "flannel.image" -}}
{{ .repository }}{{ with get . "digest" }}@{{ . }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{/* The Backend of net-conf.json: values by the names that they have there. */}}
{{- define "flannel.backend" -}}
{{- $names := dict
  "vxlan" (dict "backendPort" "Port" "vni" "VNI" "mtu" "MTU" "GBP" "GBP" "directRouting" "DirectRouting"
                "macPrefix" "MacPrefix")
  "wireguard" (dict "backendPort" "ListenPort" "backendPortv6" "ListenPortV6" "mtu" "MTU" "psk" "PSK"
                    "tunnelMode" "Mode" "keepaliveInterval" "PersistentKeepaliveInterval")
  "udp" (dict "backendPort" "Port")
  "ipip" (dict "directRouting" "DirectRouting")
  "ipsec" (dict "psk" "PSK")
}}
{{- $backend := dict "Type" .backend }}
{{- range $value, $name := (get $names .backend | default dict) }}
{{- with get $ $value }}
{{- if kindIs "float64" . }}
{{- $_ := set $backend $name (int64 .) }}
{{- else if kindIs "string" . }}
{{- /* The chart of before wrote Mode without quotes, so that there are values that bring them. */}}
{{- $_ := set $backend $name (trimAll "\"" .) }}
{{- else }}
{{- $_ := set $backend $name . }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson (mergeOverwrite $backend (get . "backendOptions" | default dict)) }}
{{- end }}
