//! The unit for systemd.

use std::env;
use std::path::Path;

use crate::commands::Failure;
use crate::privileges::{self, Other};

/// A unit that leaves the host as little as it needs: its ports, its data, the network.
pub(super) fn text(other: Option<&Other>, low: bool, config: &Path, data: &Path) -> Result<String, Failure> {
    let program = env::current_exe()?;
    let in_home = ["/home", "/root", "/run/user"].iter().any(|home| data.starts_with(home));
    let home = if in_home { "read-only" } else { "yes" };
    // systemd reads % and spaces in its own way.
    let quoted = |path: &Path| {
        format!(
            "\"{}\"",
            path.display().to_string().replace('\\', "\\\\").replace('%', "%%").replace('"', "\\\"")
        )
    };
    let (program, config, data) = (quoted(&program), quoted(config), quoted(data));
    let (who, capabilities) = match other {
        Some(other) => {
            let name = other.name();
            let who = format!(
                "# It is started as root to bind ports below 1024 and to read the key of its\n\
                 # certificate. Then it becomes {name}, for good."
            );
            (who, "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID")
        }
        None => {
            let capabilities = match low {
                true => {
                    "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE"
                }
                false => "CapabilityBoundingSet=",
            };
            (format!("User={}", privileges::own_name()), capabilities)
        }
    };
    Ok(format!(
        "# Written by `mailhost quickstart`.
[Unit]
Description=Mail host (SMTP, POP3, IMAP)
After=network-online.target nss-lookup.target
Wants=network-online.target

[Service]
Type=exec
{who}
ExecStart={program} serve --config {config}
# Configuration and certificate anew; no connection is dropped.
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5s
# What is being received is finished; see stop_timeout in [limits].
TimeoutStopSec=60s
LimitNOFILE=65536
UMask=0077

# It writes nowhere else.
ProtectSystem=strict
ReadWritePaths={data}
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes

# It runs no other program, and needs no power but these.
{capabilities}
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"
    ))
}
