import { describe, expect, it } from 'vitest'
import { CONTROL_METHODS, type ControlMethod, DEVICE_ROLES, type DeviceRole, METHOD_ROLES, admitCalls, hasRole, roleFor } from '../src/control/index.ts'
import { createFakeApi } from './control-fake-api.ts'

/** Called with nothing: whoever is admitted then fails on the argument, or comes through. */
async function outcome(method: ControlMethod, role: DeviceRole, args?: unknown): Promise<'refused' | 'admitted'> {
  const { api, calls } = createFakeApi()
  const admitted = admitCalls(api, CONTROL_METHODS, () => role)
  const code = await admitted[method](args).then(() => undefined, (error: { code: string }) => error.code)
  if (code === 'not-allowed') expect(calls).toEqual([])
  return code === 'not-allowed' ? 'refused' : 'admitted'
}

describe('roles', () => {
  it('stand for every method, and for nothing else', () => {
    expect(Object.keys(METHOD_ROLES).sort()).toEqual([...CONTROL_METHODS].sort())
    expect(DEVICE_ROLES.map((held) => DEVICE_ROLES.map((needed) => hasRole(held, needed)))).toEqual([[true, false, false], [true, true, false], [true, true, true]])
  })

  it.each(CONTROL_METHODS)('admit %s from its least role on, and nobody below', async (method) => {
    const least = DEVICE_ROLES.indexOf(METHOD_ROLES[method])
    for (const [place, role] of DEVICE_ROLES.entries()) expect(await outcome(method, role)).toBe(place >= least ? 'admitted' : 'refused')
  })

  it('let nobody but an admin change what is shared, devices, settings, limits, or the helper itself', () => {
    const changing: readonly ControlMethod[] = [
      'addShare', 'removeShare', 'setAudience', 'addGroup', 'changeGroup', 'removeGroup', 'browseFolders', 'updateSettings', 'setLimits', 'setPeerLimits', 'setAutostart',
      'devices', 'changeDevice', 'revokeDevice', 'createPairingLink', 'setLan', 'joinTopic', 'leaveTopic', 'shutdown',
    ]
    for (const method of changing) expect(METHOD_ROLES[method], method).toBe('admin')
  })

  it('let nobody who only looks start or change anything', () => {
    const acting: readonly ControlMethod[] = ['download', 'cancel', 'retry', 'connect', 'forget', 'block', 'answerPeer', 'announceCode', 'renewCode', 'addWish', 'removeWish', 'answerMatches', 'startVerify', 'clearActivity']
    for (const method of acting) expect(hasRole('view', METHOD_ROLES[method]), method).toBe(false)
  })

  it('tell reading wishes from changing them', async () => {
    expect(roleFor('syncWishes', { since: 0 })).toBe('view')
    expect(roleFor('syncWishes', { since: 0, changes: [] })).toBe('control')
    expect(await outcome('syncWishes', 'view', { since: 0 })).toBe('admitted')
    expect(await outcome('syncWishes', 'view', { since: 0, changes: [] })).toBe('refused')
    // What is no list is refused as an argument.
    const { api, calls } = createFakeApi()
    await expect(admitCalls(api, CONTROL_METHODS, () => 'view').syncWishes({ since: 0, changes: { 0: {}, length: 1 } })).rejects.toMatchObject({ code: 'bad-request' })
    expect(calls).toEqual([])
  })

  it('are asked at every call', async () => {
    const { api, calls } = createFakeApi()
    let role: DeviceRole = 'admin'
    const admitted = admitCalls(api, CONTROL_METHODS, () => role)
    await admitted.shutdown()
    role = 'control'
    await expect(admitted.shutdown()).rejects.toMatchObject({ code: 'not-allowed' })
    expect(calls).toHaveLength(1)
  })
})
