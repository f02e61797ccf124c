import type { PeerId } from '@harddrive-party/protocol'
import { type ControlApi, DEFAULT_LIMITS, type LimitsInfo } from '@harddrive-party/protocol/control'
import { describe, expect, it } from 'vitest'
import type { HelperSession } from '../../src/cli/helper-session.ts'
import { type ProgramActions, buildProgram } from '../../src/cli/program.ts'
import { formatDays, parseDays, parseHours, parseRate } from '../../src/cli/rate-text.ts'

const OTTER = { peerId: 'a1'.repeat(32) as PeerId, name: 'Brave Otter', fingerprint: 'a1'.repeat(8) }
const SHARE = { shareId: 's1', name: 'Music', directory: '/music' }
const FAMILY = { groupId: 'g1', name: 'Family', members: [OTTER.peerId] }

/** What a command line asks of the helper, and what it prints. */
async function run(...words: string[]): Promise<{ calls: [string, unknown][]; lines: string[] }> {
  const calls: [string, unknown][] = []
  const lines: string[] = []
  const limits: LimitsInfo = { settings: { ...DEFAULT_LIMITS, rules: [{ days: [1], from: '08:00', to: '18:00', up: 50_000, down: null }] }, peers: [], now: { up: null, down: null, rule: null } }
  const answers: Record<string, unknown> = {
    snapshot: { peers: [OTTER], shares: [SHARE], limits, access: { groups: [FAMILY], audiences: [] }, uploadPeers: [] },
    setLimits: limits, setPeerLimits: limits, setAudience: { groups: [FAMILY], audiences: [] }, addGroup: FAMILY, changeGroup: FAMILY, addShare: { ...SHARE, state: 'scanning', files: 0, bytes: 0 }, addWish: { wishId: 'w' },
  }
  const api = new Proxy({}, { get: (_target, method: string) => async (args: unknown) => {
    if (method !== 'snapshot') calls.push([method, args])
    return answers[method]
  } }) as ControlApi
  const output = { json: words.includes('--json'), showsProgress: false, line: async (text: string) => void lines.push(text), note: () => {}, fail: () => {} }
  const session = { api, output, pid: 1, ui: '', client: {} } as unknown as HelperSession
  const actions: Pick<ProgramActions, 'withHelper'> = { withHelper: (_options, use) => use(session) }
  const program = buildProgram(actions as ProgramActions)
  await program.parseAsync(['node', 'hdp', ...words])
  return { calls, lines }
}

describe('hdp limits', () => {
  it.each([
    [['limits', 'set', '--up', '500k', '--down', 'none', '--local-free', 'off', '--slots', '3'], ['setLimits', { up: 500_000, down: null, localIsFree: false, slots: 3 }]],
    [['limits', 'rule', '--days', 'sat,sun', '--hours', '22:00-06:30', '--up', '2.5M'], ['setLimits', { rules: [expect.anything(), { days: [0, 6], from: '22:00', to: '06:30', up: 2_500_000, down: null }] }]],
    [['limits', 'unrule', '1'], ['setLimits', { rules: [] }]],
    [['limits', 'peer', 'brave-otter', '--up', 'none', '--down', 'default', '--priority', 'low'], ['setPeerLimits', { peerId: OTTER.peerId, up: 'none', down: null, priority: 'low' }]],
    [['share', 'to', 'Music', 'family', 'brave-otter'], ['setAudience', { shareId: 's1', audience: { peers: [OTTER.peerId], groups: ['g1'] } }]],
    [['share', 'to', 'Music', 'everyone'], ['setAudience', { shareId: 's1', audience: 'everyone' }]],
    [['share', 'to', 'Music', 'nobody'], ['setAudience', { shareId: 's1', audience: { peers: [], groups: [] } }]],
    [['share', 'add', '/music', '--to', 'Family'], ['addShare', { directory: '/music', audience: { peers: [], groups: ['g1'] } }]],
    [['group', 'add', 'Work', 'brave-otter'], ['addGroup', { name: 'Work', members: [OTTER.peerId] }]],
    [['group', 'leave', 'Family', 'brave-otter'], ['changeGroup', { groupId: 'g1', members: [] }]],
    [['wish', 'add', '--search', 'blue', '--into', 'Music/New'], ['addWish', { what: { kind: 'search', text: 'blue', peerId: null, peerName: null }, folder: 'Music/New' }]],
    [['group', 'remove', 'Family'], ['removeGroup', { groupId: 'g1' }]],
  ] as const)('%j', async (words, call) => {
    expect((await run(...words)).calls).toEqual([call])
  })

  it('shows without changing', async () => {
    const { calls, lines } = await run('limits', '--json')
    expect(calls).toEqual([])
    expect(JSON.parse(lines.join(''))).toMatchObject({ up: null, slots: 16, peers: [], now: { rule: null } })
    expect((await run('groups', '--json')).lines.map((line) => JSON.parse(line) as unknown)).toEqual([[{ id: 'g1', name: 'Family', members: [OTTER.peerId] }]])
    expect((await run('uploads', '--json')).lines).toEqual(['[]'])
  })
})

describe('rates and times as text', () => {
  it('reads what people write, and nothing else', () => {
    expect(['500k', '500kB/s', '0.5M', '500000'].map(parseRate)).toEqual([500_000, 500_000, 500_000, 500_000])
    expect(parseRate('none')).toBeNull()
    for (const text of ['', '5', '-1k', '1x', 'k', '1e9', '999999999g']) expect(parseRate(text)).toBeUndefined()
    expect(parseDays('mon-fri')).toEqual([1, 2, 3, 4, 5])
    expect(parseDays('fri-mon')).toEqual([0, 1, 5, 6])
    for (const text of ['', 'monday', 'mon-', 'mon-tue-wed']) expect(parseDays(text)).toBeUndefined()
    expect(formatDays([0, 1, 2, 3, 4, 5, 6])).toBe('all')
    expect(parseHours('22:00-06:30')).toEqual({ from: '22:00', to: '06:30' })
    for (const text of ['22:00', '24:00-01:00', '1:00-2:00', '']) expect(parseHours(text)).toBeUndefined()
  })
})
