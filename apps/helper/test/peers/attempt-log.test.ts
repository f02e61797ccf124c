import { peerIdFromKey } from '@harddrive-party/protocol'
import { describe, expect, it } from 'vitest'
import { type Attempt, AttemptLog, MAX_ATTEMPTS_KEPT, MAX_PEERS_KEPT } from '../../src/core/peers/attempt-log.ts'

const attempt = (candidate: string): Attempt<'running' | 'connected'> => ({
  at: 1, candidate, source: 'peer', method: 'direct', outcome: 'running', message: '', ms: 0, packets: 0,
})
const ann = { keyHash: 'aa', peerId: null }
const peerId = peerIdFromKey(new Uint8Array(32).fill(1))

describe('the record of attempts', () => {
  it('has the newest attempt of each peer first, and what has become of it', () => {
    const log = new AttemptLog<'running' | 'connected'>()
    const first = log.begin(ann, attempt('8.8.8.8:1'))
    log.begin(ann, attempt('8.8.8.8:2'))
    first({ outcome: 'connected', ms: 7 })
    first({ message: 'well' })
    expect(log.report()).toEqual([
      { ...ann, attempts: [attempt('8.8.8.8:2'), { ...attempt('8.8.8.8:1'), outcome: 'connected', ms: 7, message: 'well' }] },
    ])
  })

  it('learns the whole key, and has who was tried last first', () => {
    const log = new AttemptLog<'running' | 'connected'>()
    log.begin(ann, attempt('8.8.8.8:1'))
    log.begin({ keyHash: 'bb', peerId: null }, attempt('8.8.8.8:1'))
    log.name('aa', peerId)
    log.name('unheard of', peerId)
    expect(log.report().map((entry) => [entry.keyHash, entry.peerId])).toEqual([['bb', null], ['aa', peerId]])
    log.begin(ann, attempt('8.8.8.8:3'))
    expect(log.report().map((entry) => [entry.keyHash, entry.peerId])).toEqual([['aa', peerId], ['bb', null]])
  })

  it('forgets the oldest attempts and peers', () => {
    const log = new AttemptLog<'running' | 'connected'>()
    const late = log.begin(ann, attempt('8.8.8.8:1'))
    for (let i = 0; i < MAX_ATTEMPTS_KEPT; i++) log.begin(ann, attempt(`8.8.4.4:${i + 1}`))
    late({ outcome: 'connected' })
    expect(log.report()[0]?.attempts).toHaveLength(MAX_ATTEMPTS_KEPT)
    expect(log.report()[0]?.attempts.some(({ outcome }) => outcome === 'connected')).toBe(false)
    for (let i = 0; i < MAX_PEERS_KEPT; i++) log.begin({ keyHash: `peer ${i}`, peerId: null }, attempt('8.8.8.8:1'))
    expect(log.report()).toHaveLength(MAX_PEERS_KEPT)
    expect(log.report().some(({ keyHash }) => keyHash === 'aa')).toBe(false)
  })
})
