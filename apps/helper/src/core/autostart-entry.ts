/** The files that make a system start the helper at login, as text. Writes and runs nothing. */

/** The command and its arguments, absolute paths first. */
export type CommandLine = readonly string[]

/** Why a command cannot be put into such a file: line breaks end an entry in all of them. */
export function problemWithCommand(command: CommandLine): string | null {
  // eslint-disable-next-line no-control-regex -- exactly these are refused
  return command.some((part) => /[\u0000-\u001f\u007f]/.test(part)) ? 'a path with control characters in its name cannot be started at login' : null
}

/** systemd.service(5), systemd.syntax(7): `%` and `$` have meanings of their own, `"` and `\` are escaped inside of quotes. */
export function systemdUnit(command: CommandLine): string {
  const quoted = command.map((part) => `"${part.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`)
  return `[Unit]
Description=harddrive-party helper
After=network.target

[Service]
ExecStart=${quoted.join(' ')}
Restart=on-failure
RestartSec=5
TimeoutStopSec=20

[Install]
WantedBy=default.target
`
}

/** Desktop Entry Specification 1.5, "The Exec key": quoted arguments escape `"`, `` ` ``, `$` and `\`, and strings escape `\` once more; `%` is doubled. */
export function desktopEntry(command: CommandLine): string {
  const quoted = command.map((part) => `"${part.replaceAll(/["`$\\]/g, String.raw`\$&`).replaceAll('\\', '\\\\').replaceAll('%', '%%')}"`)
  return `[Desktop Entry]
Type=Application
Name=harddrive-party
Comment=Shares folders directly with friends
Exec=${quoted.join(' ')}
Terminal=false
NoDisplay=true
X-GNOME-Autostart-enabled=true
`
}

const XML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }

/** launchd.plist(5). `KeepAlive` only after a crash: who stops the helper wants it stopped. */
export function launchdAgent(label: string, command: CommandLine): string {
  const texts = command.map((part) => `    <string>${part.replaceAll(/[&<>"']/g, (sign) => XML[sign]!)}</string>`)
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${label}</string>
  <key>ProgramArguments</key>
  <array>
${texts.join('\n')}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ProcessType</key>
  <string>Background</string>
</dict>
</plist>
`
}

/**
 * A VBScript, because it is the one thing in the startup folder that opens no window. Arguments are quoted as CommandLineToArgvW takes them apart;
 * quotes inside of a VBScript string are doubled. `Run` expands %NAME%, and there is no escape for it, so such a path is started as it is.
 */
export function windowsScript(command: CommandLine): string {
  const line = command.map((part) => `"${part.replaceAll(/(\\*)"/g, String.raw`$1$1\"`).replace(/(\\+)$/, '$1$1')}"`).join(' ')
  return `' Starts the harddrive-party helper without a window.\r\nCreateObject("WScript.Shell").Run "${line.replaceAll('"', '""')}", 0, False\r\n`
}
