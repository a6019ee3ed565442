# Completes the commands and options of sync-server in bash.
_sync_server() {
    local word=${COMP_WORDS[COMP_CWORD]} words=
    case ${COMP_WORDS[1]}:$COMP_CWORD in
        *:1) words='user backup healthcheck setup doctor watch help --check-config --help --version' ;;
        user:2) words='add list passwd disable' ;;
        user:*) [ "${COMP_WORDS[2]}" = add ] && words=--admin ;;
        backup:2) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        doctor:*) words=--slow ;;
        watch:2) ;;
        watch:*) words=--json ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _sync_server sync-server
