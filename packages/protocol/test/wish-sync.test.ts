import { array, assert, constantFrom, integer, property, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type CopyRow, FORGET_AFTER_MS, type HubRow, MAX_CLOCK_DRIFT_MS, MAX_WISHES, NEW_PLACE, WishClock, WishCopy, WishHub, type WishSyncPage, type WishSyncRequest, valuesOf,
} from '../src/control/index.ts'
import { search } from './wish-samples.ts'

const DAY = 86_400_000
/** Some time this century: a clock at 0 is one that is wrong. */
const START = 1_800_000_000_000

/** A helper and browsers with stores that survive a restart, and lines that lose, repeat and delay. */
class World {
  now = START
  store = 'list-1'
  hub: WishHub
  readonly browsers: Browser[]
  #writers = 0

  constructor(browsers: number) {
    this.hub = new WishHub(this.store, new WishClock(this.writer()), { rows: [], forgotten: 0 })
    this.browsers = Array.from({ length: browsers }, () => new Browser(this))
  }

  writer = (): string => (++this.#writers).toString(16).padStart(16, '0')

  /** What the helper's service does with a request. */
  answer(request: WishSyncRequest): WishSyncPage {
    const refused: { wishId: string; why: 'too-late' | 'too-many' }[] = []
    if (this.hub.admits(request)) {
      for (const wish of request.changes ?? []) {
        const taken = this.hub.take(JSON.parse(JSON.stringify(wish)) as typeof wish, this.now)
        if (typeof taken === 'string') refused.push({ wishId: wish.id, why: taken })
      }
    }
    return JSON.parse(JSON.stringify({ ...this.hub.page(request, this.now), refused })) as WishSyncPage
  }

  restartHub(rows: readonly HubRow[] = this.hub.rows(), forgotten = this.hub.forgotten): void {
    this.hub = new WishHub(this.store, new WishClock(this.writer()), { rows: JSON.parse(JSON.stringify(rows)) as HubRow[], forgotten })
  }

  /** Everything that is not removed, as each replica has it. */
  states(): Record<string, object>[] {
    return [live(this.hub.rows()), ...this.browsers.map(({ copy }) => live(copy.rows()))]
  }

  settle(): void {
    // Twice: what the last one brings, the first one has yet to hear.
    for (let round = 0; round < 2; round++) for (const browser of this.browsers) browser.sync()
  }
}

class Browser {
  copy: WishCopy
  skew = 0
  readonly #world: World
  #stored = new Map<string, CopyRow>()
  /** Answers that are still under way. */
  readonly late: [WishSyncRequest, WishSyncPage][] = []

  constructor(world: World) {
    this.#world = world
    this.copy = new WishCopy(world.writer, { rows: [], place: NEW_PLACE })
  }

  get wall(): number {
    return this.#world.now + this.skew
  }

  save(rows: readonly CopyRow[], removed: readonly string[] = []): void {
    for (const row of rows) this.#stored.set(row.wish.id, JSON.parse(JSON.stringify(row)) as CopyRow)
    for (const id of removed) this.#stored.delete(id)
  }

  take(request: WishSyncRequest, page: WishSyncPage): boolean {
    const { put, removed, again } = this.copy.take(request, page, this.wall)
    this.save(put, removed)
    return again
  }

  sync(most = 200): void {
    for (let turn = 0; turn < most; turn++) {
      const request = this.copy.request()
      if (!this.take(request, this.#world.answer(request))) return
    }
    if (most > 10) throw new Error('syncing does not end')
  }

  reload(): void {
    this.copy = new WishCopy(this.#world.writer, { rows: [...this.#stored.values()], place: this.copy.place })
  }
}

function live(wishes: Iterable<{ wish: CopyRow['wish'] }>): Record<string, object> {
  return Object.fromEntries([...wishes].filter(({ wish }) => !wish.fields.removed.value).map(({ wish }) => [wish.id, wish] as const).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Who does it, what, to which wish, with which value. */
const action = record({
  who: integer({ min: 0, max: 2 }),
  what: constantFrom('add', 'edit', 'edit', 'remove', 'remove', 'restore', 'sync', 'sync', 'half-sync', 'send', 'hear', 'reload', 'restart', 'wait', 'skew', 'forget'),
  wish: integer({ min: 0, max: 5 }),
  value: integer({ min: 0, max: 5 }),
})

describe('browsers and their helper', () => {
  test('agree in the end, whatever happens to them, and lose nothing', () => {
    assert(property(array(action, { maxLength: 60 }), (actions) => {
      const world = new World(3)
      const added = new Set<string>()
      const touchedByRemoval = new Set<string>()
      const restored = new Set<string>()
      const forgotten = new Set<string>()
      for (const { who, what, wish, value } of actions) {
        const browser = world.browsers[who] as Browser
        const ids = browser.copy.rows().map((row) => row.wish.id).sort()
        const id = ids[wish % Math.max(1, ids.length)]
        const edit = (values: Parameters<WishCopy['edit']>[1]) => {
          const row = id === undefined ? undefined : browser.copy.edit(id, values, browser.wall)
          if (row !== undefined) browser.save([row])
        }
        switch (what) {
          case 'add': {
            const name = `${who}-${added.size}`
            added.add(name)
            browser.save([browser.copy.add(name, { what: search(name) }, browser.wall)])
            break
          }
          case 'edit':
            edit([{ paused: value % 2 === 0 }, { priority: (['low', 'normal', 'high'] as const)[value % 3] ?? 'low' }, { what: search(`words ${value}`) }][value % 3] ?? {})
            break
          case 'remove':
            if (id !== undefined) touchedByRemoval.add(id)
            edit({ removed: true })
            break
          case 'restore':
            if (id !== undefined) restored.add(id)
            edit({ removed: false })
            break
          case 'sync':
            browser.sync()
            break
          case 'half-sync':
            browser.sync(value)
            break
          case 'send': {
            // The helper has it, the answer is on its way, perhaps for long, perhaps twice.
            const request = browser.copy.request()
            browser.late.push([request, world.answer(request)])
            break
          }
          case 'hear': {
            const answer = browser.late[wish % Math.max(1, browser.late.length)]
            if (answer !== undefined) browser.take(...answer)
            break
          }
          case 'reload':
            browser.reload()
            break
          case 'restart':
            world.restartHub()
            break
          case 'wait':
            world.now += [1, 1_000, DAY, 40 * DAY, 100 * DAY, 0][value] ?? 0
            break
          case 'skew':
            browser.skew = [0, 3_000, -DAY, 400 * DAY, -START, 2 * MAX_CLOCK_DRIFT_MS][value] ?? 0
            break
          case 'forget':
            world.now += FORGET_AFTER_MS
            for (const gone of world.hub.forget(world.now)) forgotten.add(gone)
        }
      }
      world.settle()
      const [first, ...others] = world.states()
      for (const other of others) expect(other).toEqual(first)
      for (const { copy } of world.browsers) expect(copy.hasChanges).toBe(false)
      // Nothing that nobody removed is gone.
      for (const id of added) if (!touchedByRemoval.has(id)) expect(Object.keys(first ?? {})).toContain(id)
      // Nothing that was removed and forgotten is back, unless a person took it back.
      for (const id of forgotten) if (!restored.has(id)) expect(Object.keys(first ?? {})).not.toContain(id)
    }), { numRuns: 300 })
  })

  test('never bring back what was removed while they were away', () => {
    const deed = record({ who: integer({ min: 0, max: 2 }), what: constantFrom('edit', 'remove', 'sync', 'half-sync', 'forget', 'reload'), wish: integer({ min: 0, max: 2 }) })
    assert(property(array(deed, { maxLength: 30 }), (deeds) => {
      const world = new World(3)
      const forgotten = new Set<string>()
      for (const id of ['a', 'b', 'c']) (world.browsers[0] as Browser).copy.add(id, { what: search(id) }, START)
      world.settle()
      for (const { who, what, wish } of deeds) {
        const browser = world.browsers[who] as Browser
        const id = 'abc'[wish] ?? 'a'
        if (what === 'edit' || what === 'remove') {
          const row = browser.copy.edit(id, what === 'edit' ? { paused: browser.copy.row(id)?.wish.fields.paused.value === false } : { removed: true }, browser.wall)
          if (row !== undefined) browser.save([row])
        } else if (what === 'forget') {
          world.now += FORGET_AFTER_MS
          for (const gone of world.hub.forget(world.now)) forgotten.add(gone)
        } else if (what === 'reload') browser.reload()
        else browser.sync(what === 'sync' ? 200 : 1)
      }
      world.settle()
      const [first = {}, ...others] = world.states()
      for (const other of others) expect(other).toEqual(first)
      for (const id of forgotten) expect(Object.keys(first)).not.toContain(id)
    }), { numRuns: 300 })
  })

  test('both changes of two who were away arrive everywhere, and the later one of the same field', () => {
    const world = new World(2)
    const [one, two] = world.browsers as [Browser, Browser]
    one.save([one.copy.add('w', { what: search('a') }, one.wall)])
    world.settle()
    world.now += DAY
    one.copy.edit('w', { paused: true, priority: 'low' }, one.wall)
    world.now += 5
    two.copy.edit('w', { priority: 'high', automatic: true }, two.wall)
    two.copy.add('x', { what: search('b') }, two.wall)
    world.settle()
    expect(world.states()[0]).toEqual(world.states()[1])
    expect(valuesOf((world.hub.row('w') as HubRow).wish)).toMatchObject({ paused: true, priority: 'high', automatic: true })
    expect(world.hub.row('x')).toBeDefined()
  })

  test('somebody who was away for longer than removals are remembered brings nothing back, and keeps what is new', () => {
    const world = new World(2)
    const [one, two] = world.browsers as [Browser, Browser]
    for (const id of ['gone', 'stays']) one.save([one.copy.add(id, { what: search(id) }, one.wall)])
    world.settle()
    two.copy.edit('gone', { paused: true }, two.wall)
    two.copy.add('new', { what: search('new') }, two.wall)
    one.copy.edit('gone', { removed: true }, one.wall)
    one.sync()
    world.now += FORGET_AFTER_MS + 1
    expect(world.hub.forget(world.now)).toEqual(['gone'])
    one.copy.forget(one.wall)
    world.restartHub()
    world.settle()
    for (const state of world.states()) expect(Object.keys(state)).toEqual(['new', 'stays'])
    expect(two.copy.row('gone')).toBeUndefined()
  })

  test('a clock that is far ahead loses no change and wins no later one', () => {
    const world = new World(2)
    const [one, two] = world.browsers as [Browser, Browser]
    one.copy.add('w', { what: search('a') }, one.wall)
    world.settle()
    one.skew = 400 * DAY
    one.copy.edit('w', { priority: 'low', paused: true }, one.wall)
    one.sync()
    expect(valuesOf((world.hub.row('w') as HubRow).wish)).toMatchObject({ priority: 'low', paused: true })
    world.now += 1_000
    two.sync()
    two.copy.edit('w', { priority: 'high' }, two.wall)
    world.settle()
    expect(valuesOf((one.copy.row('w') as CopyRow).wish)).toMatchObject({ priority: 'high', paused: true })
    // From then on it allows for the difference.
    one.copy.edit('w', { paused: false }, one.wall)
    expect(world.hub.take((one.copy.row('w') as CopyRow).wish, world.now)).not.toBe('too-late')
  })

  test('a helper that has lost its list, or has an old one back, gets everything again', () => {
    const world = new World(1)
    const [one] = world.browsers as [Browser]
    one.copy.add('before', { what: search('a') }, one.wall)
    world.settle()
    const old = world.hub.rows()
    for (const id of ['after', 'later']) one.copy.add(id, { what: search(id) }, one.wall)
    one.copy.edit('before', { paused: true }, one.wall)
    world.settle()
    world.restartHub(old)
    world.settle()
    expect(world.states()[0]).toEqual(world.states()[1])
    expect(Object.keys(world.states()[0] ?? {})).toEqual(['after', 'before', 'later'])
    world.store = 'list-2'
    world.restartHub([], 0)
    world.settle()
    expect(Object.keys(world.states()[0] ?? {})).toEqual(['after', 'before', 'later'])
  })

  test('long lists come in pages, and a removal makes room in a full one', () => {
    const world = new World(2)
    const [one, two] = world.browsers as [Browser, Browser]
    for (let i = 0; i < MAX_WISHES; i++) world.hub.take(new WishCopy(world.writer, { rows: [], place: NEW_PLACE }).add(`w${i}`, { what: search(`${i}`) }, START).wish, START)
    one.sync()
    expect(one.copy.rows()).toHaveLength(MAX_WISHES)
    one.copy.add('one more', { what: search('more') }, one.wall)
    one.sync()
    expect(one.copy.hasChanges).toBe(true)
    one.copy.edit('w7', { removed: true }, one.wall)
    one.sync()
    expect(one.copy.hasChanges).toBe(false)
    two.sync()
    expect(two.copy.row('one more')).toBeDefined()
  })

  test('another page of the same browser is heard', () => {
    const world = new World(2)
    const [one, tab] = world.browsers as [Browser, Browser]
    one.save([one.copy.add('w', { what: search('a') }, one.wall)])
    tab.copy.absorb(one.copy.rows())
    expect(tab.copy.request().changes).toHaveLength(1)
    one.sync()
    tab.copy.absorb(one.copy.rows())
    expect(tab.copy.hasChanges).toBe(false)
    tab.copy.edit('w', { paused: true }, tab.wall)
    tab.copy.absorb(one.copy.rows())
    expect(tab.copy.hasChanges).toBe(true)
  })
})
