/** Starting the helper when its person logs in. */
export interface AutostartApi {
  autostart(): Promise<AutostartInfo>
  /** Whether the helper is started at the next login. The one that runs now is left alone. @throws CodedError `unsupported`, `internal` with the system's own words */
  setAutostart(args: { enabled: boolean }): Promise<AutostartInfo>
}

export const AUTOSTART_METHODS = ['autostart', 'setAutostart'] as const satisfies readonly (keyof AutostartApi)[]

export interface AutostartInfo {
  /**
   * How it is done here: a systemd user unit, an entry of the desktop's autostart folder, a launchd agent, a script in the Windows startup folder;
   * null where this platform has no way that we know.
   */
  readonly kind: 'systemd' | 'desktop' | 'launchd' | 'windows' | null
  readonly enabled: boolean
  /** The file that does it, whether or not it is there now. */
  readonly file: string | null
  /** What the person should know besides, in words; null = nothing. */
  readonly note: string | null
}
