# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # made for measure.sh; of scripts/bench and processes.sh
# contestants.sh - the proxies that are compared, each with one worker on the same processor, and
# what each of them serves:
#
#   plain, stream           to the provider over plain HTTP; stream: answers are not buffered
#   upload, upload_stream   requests are read whole before they go up, as Weir has it, in memory
#   tls, tls_stream         to the provider over TLS
#   many                    Weir alone, with many subscriptions
#
# What nobody asks for is not started. Over TLS all of them check the provider's certificate
# against the same authority, send its name, keep connections and take sessions up again.

subscriptions=5 subscriptions_many=20
upload_bytes_max=1100000 # the largest request, and its head

# Of "SUBJECT.VARIANT": where it listens, the process that serves it, the process to end
declare -A ports=() pids=() masters=()
declare -A redis_pids=() # of a build of Weir: each has a Redis of its own

# serves SUBJECT PORT PID MASTER VARIANT...
serves() {
    local variant
    for variant in "${@:5}"; do
        ports[$1.$variant]=$2 pids[$1.$variant]=$3 masters[$1.$variant]=$4
    done
}

# ensure SUBJECT VARIANT: what serves it runs
ensure() {
    [ -z "${ports[$1.$2]-}" ] || return 0
    start_contestant "$1" "$2"
}
# Memory that a process has once had is not given back: growth is measured on a fresh one.
restart() { # restart SUBJECT VARIANT
    [ -z "${masters[$1.$2]-}" ] || end_process "${masters[$1.$2]}"
    start_contestant "$1" "$2"
}
start_contestant() {
    case $1.$2 in
    direct.*) serves direct "$provider_port" '' '' plain stream ;;
    nginx.*) start_nginx ;;
    haproxy.upload*) start_haproxy_for_uploads ;;
    haproxy.*) start_haproxy ;;
    *.tls*) start_weir "$1" "https://localhost:$provider_tls_port" $subscriptions tls tls_stream ;;
    *.many) start_weir "$1" "http://127.0.0.1:$provider_port" $subscriptions_many many ;;
    *) start_weir "$1" "http://127.0.0.1:$provider_port" $subscriptions plain stream upload \
        upload_stream ;;
    esac
}

# As people deploy it: answers buffered, streams not, connections kept, access log through a buffer.
# Requests are buffered in memory, never in a file. Its default leaves TLS 1.3 out.
start_nginx() {
    local port stream_port tls_port tls_stream_port
    port=$(free_port) stream_port=$(free_port) tls_port=$(free_port) tls_stream_port=$(free_port)
    cat >"$folder/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $folder/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 20000;
events { worker_connections 10000; }
http {
    access_log $folder/nginx.access combined buffer=64k flush=1s;
    client_body_temp_path $folder/nginx.body;
    proxy_temp_path $folder/nginx.proxy;
    fastcgi_temp_path $folder/nginx.fastcgi;
    uwsgi_temp_path $folder/nginx.uwsgi;
    scgi_temp_path $folder/nginx.scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 64m;
    client_body_buffer_size $upload_bytes_max;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 600s;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_trusted_certificate $folder/tls.pem;
    proxy_ssl_verify on;
    proxy_ssl_server_name on;
    proxy_ssl_name localhost;
    proxy_ssl_session_reuse on;
    upstream provider {
        server 127.0.0.1:$provider_port;
        keepalive 4096;
        keepalive_requests 1000000000;
    }
    upstream provider_tls {
        server 127.0.0.1:$provider_tls_port;
        keepalive 4096;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:$port backlog=4096;
        location / { proxy_pass http://provider; }
    }
    server {
        listen 127.0.0.1:$stream_port backlog=4096;
        location / { proxy_pass http://provider; proxy_buffering off; }
    }
    server {
        listen 127.0.0.1:$tls_port backlog=4096;
        location / { proxy_pass https://provider_tls; }
    }
    server {
        listen 127.0.0.1:$tls_stream_port backlog=4096;
        location / { proxy_pass https://provider_tls; proxy_buffering off; }
    }
}
CONF
    run_in_background nginx "${pin_proxy[@]}" nginx -c "$folder/nginx.conf"
    wait_until nginx 15 is_open "$tls_stream_port"
    local master=$started worker
    worker=$(tr -d ' ' <"/proc/$started/task/$started/children") # its one worker
    serves nginx "$port" "$worker" "$master" plain upload
    serves nginx "$stream_port" "$worker" "$master" stream upload_stream
    serves nginx "$tls_port" "$worker" "$master" tls
    serves nginx "$tls_stream_port" "$worker" "$master" tls_stream
}

# run_haproxy NAME PORT: the sections "listen" of its configuration are on standard input.
# Unless told so, HAProxy holds small writes back, works on for clients that have left, and closes
# idle connections early when many descriptors are open: all of that would flatter the others.
run_haproxy() {
    cat - >"$folder/$1.sections"
    cat - "$folder/$1.sections" >"$folder/$1.cfg" <<CONF
global
    nbthread 1
    maxconn 9000
    tune.pool-low-fd-ratio 90
    tune.pool-high-fd-ratio 95
    ${haproxy_global-}
defaults
    mode http
    option http-no-delay
    option abortonclose
    http-reuse always
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    default-server pool-max-conn 4096 pool-purge-delay 600s
CONF
    run_in_background "$1" "${pin_proxy[@]}" env ${haproxy_malloc-} haproxy -db -f "$folder/$1.cfg"
    wait_until "$1" 15 is_open "$2"
}
start_haproxy() {
    local port tls_port
    port=$(free_port) tls_port=$(free_port)
    run_haproxy haproxy "$tls_port" <<CONF
listen provider
    bind 127.0.0.1:$port backlog 4096
    server provider 127.0.0.1:$provider_port
listen provider_tls
    bind 127.0.0.1:$tls_port backlog 4096
    server provider 127.0.0.1:$provider_tls_port ssl verify required ca-file $folder/tls.pem sni str(localhost) verifyhost localhost
CONF
    serves haproxy "$port" "$started" "$started" plain stream
    serves haproxy "$tls_port" "$started" "$started" tls tls_stream
}
# It reads a request whole only if one buffer can hold it, and all its buffers are of one size: so
# large ones are for these rows alone. Left to itself malloc would map each of them anew, which makes
# a request two to three times as dear.
start_haproxy_for_uploads() {
    local port haproxy_global="tune.bufsize $upload_bytes_max"
    local haproxy_malloc='MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=268435456'
    port=$(free_port)
    run_haproxy haproxy_upload "$port" <<CONF
listen provider
    bind 127.0.0.1:$port backlog 4096
    option http-buffer-request
    server provider 127.0.0.1:$provider_port
CONF
    serves haproxy "$port" "$started" "$started" upload upload_stream
}

# start_weir SUBJECT BASE_URL SUBSCRIPTIONS VARIANT...: SUBJECT is weir, or before: another build
start_weir() {
    local subject=$1 name=$1_$4 program=$binaries/weir port
    [ "$subject" = weir ] || program=$against/weir
    if [ -z "${redis_pids[$subject]-}" ]; then
        start_redis "redis_$subject"
        redis_pids[$subject]=$started
    fi
    port=$(free_port)
    write_weir_config "$folder/$name.json" "$name" "$port" "redis_$subject" "$2" "$3"
    run_in_background "$name" "${pin_proxy[@]}" "$program" serve --config "$folder/$name.json"
    wait_until "$name" 15 is_ready "$port"
    serves "$subject" "$port" "$started" "$started" "${@:4}"
}
