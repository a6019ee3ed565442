# Completes the commands and options of sync-server in fish.
set -l commands user backup healthcheck setup doctor watch help
complete -c sync-server -f
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -a user -d 'manage users'
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -a backup -d 'copy the embedded store'
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -a healthcheck -d 'ask the server whether it is healthy'
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -a setup -d 'make the first administrator'
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -a doctor -d 'look at the machine, the store and the proxy'
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -a watch -d 'show what happens in a room'
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -a help -d 'show the commands and settings'
complete -c sync-server -n "not __fish_seen_subcommand_from $commands" -l check-config -d 'say whether the settings are valid'
complete -c sync-server -s h -l help -d 'show the commands and settings'
complete -c sync-server -s V -l version -d 'show the version'
complete -c sync-server -n '__fish_seen_subcommand_from user' -a 'add list passwd disable'
complete -c sync-server -n '__fish_seen_subcommand_from add' -l admin -d 'make an administrator'
complete -c sync-server -n '__fish_seen_subcommand_from backup' -F
complete -c sync-server -n '__fish_seen_subcommand_from watch' -l json -d 'print messages as they come'
complete -c sync-server -n '__fish_seen_subcommand_from doctor' -l slow -d 'try also what takes long'
