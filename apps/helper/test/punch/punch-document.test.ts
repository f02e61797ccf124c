import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { FLOWS_AT_ONCE, FLOW_REFILL_PER_SECOND, PACKETS_PER_HOST, PACKETS_PER_SECOND } from '../../src/core/packet-budget.ts'
import { BIRTHDAY_FLOWS, BIRTHDAY_PER_SECOND, BIRTHDAY_SOCKETS, COUNT_SOCKETS } from '../../src/core/punch/punch-cross.ts'
import { COUNTING_FAN_SOCKETS, FAN_SOCKETS, FAN_SOCKETS_WAITING, MAX_BLOCK_FAN_SOCKETS, SPRAY_AGAIN_PROBES, SPRAY_FIRST_PROBES, SPRAY_PAUSE_MS, SPRAY_PER_SECOND, SPRAY_PROBES } from '../../src/core/punch/punch-search.ts'
import { FAST_MS, KNOCK_MS, LINGER_MS, LOW_TTL, LOW_TTL_MS, PATIENCE_MS, SPARSE_FROM_MS, SPARSE_MS } from '../../src/core/punch/puncher.ts'

const text = readFileSync(new URL('../../../../docs/PROTOCOL.md', import.meta.url), 'utf8')
const section = text.slice(text.indexOf('## 13. Knocks'), text.indexOf('## 14.'))
const n = (value: number): string => value.toLocaleString('en-US')

it.each([
  `every ${KNOCK_MS} ms`, `(${LOW_TTL_MS.smaller} ms at the decider, ${LOW_TTL_MS.larger} ms at the other)`, `about ${LOW_TTL} hops`,
  `pauses after ${FAST_MS / 1000} s and goes on sparsely ${SPARSE_FROM_MS / 1000} s after it began: one in ${SPARSE_MS / 1000} s`, `for ${PATIENCE_MS / 60_000} minutes`, `for ${LINGER_MS / 1000} seconds more`,
  `fan of ${COUNTING_FAN_SOCKETS} |`, `fan of up to ${MAX_BLOCK_FAN_SOCKETS} |`, `fan of ${FAN_SOCKETS} |`, `at most ${FAN_SOCKETS_WAITING} of them, every 5 s`,
  `${SPRAY_PER_SECOND} per second`, `most ${n(SPRAY_PROBES)} of them, with a pause of ${SPRAY_PAUSE_MS / 1000} s after ${SPRAY_FIRST_PROBES}, then ${SPRAY_AGAIN_PROBES} every`, `${COUNT_SOCKETS} sockets each knock at one port`,
  `${BIRTHDAY_SOCKETS} sockets in turn`, `${n(BIRTHDAY_PER_SECOND)} per second, `, `at most ${n(BIRTHDAY_FLOWS)} in a round`,
  `${n(PACKETS_PER_SECOND)} packets per second, ${n(FLOWS_AT_ONCE)} new flows at once (${FLOW_REFILL_PER_SECOND} per second after that), ${n(PACKETS_PER_HOST)} packets towards one address`,
])('PROTOCOL.md says what punching does: %s', (words) => expect(section).toContain(words))
