import { CodedError, type PeerId, decodeRequest, encodeRequest } from '@harddrive-party/protocol'
import { MAX_STAGED_PIECE } from '@harddrive-party/protocol/control'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openOfferExchange } from '../../src/adapters/offers/offer-exchange.ts'
import type { NetworkEvent } from '../../src/network/network-api.ts'
import { PEER, openControlWorld } from '../support/control-world.ts'

let world: Awaited<ReturnType<typeof openControlWorld>>
beforeAll(async () => {
  world = await openControlWorld()
})
afterAll(() => world.close())

const put = (url: string, body: Buffer, headers: Record<string, string> = {}) => fetch(world.server.url + url, { method: 'PUT', body: new Uint8Array(body), headers })

describe('the door for files from a browser', () => {
  test('takes pieces for whoever was given an address, and they become an offer', async () => {
    const { api } = await world.connect(await world.addDevice('browser', 'control'))
    const { url, stagingId } = await api.openStaging()
    expect(await (await put(`${url}?path=${encodeURIComponent('Größe/a.txt')}&offset=0`, Buffer.from('abc'))).json()).toEqual({ bytes: 3 })
    expect(await (await put(`${url}?path=${encodeURIComponent('Größe/a.txt')}&offset=3`, Buffer.from('de'))).json()).toEqual({ bytes: 5 })
    const { offerId } = await api.sendOffer({ peerId: PEER, stagingId, note: 'hello' })
    const { offers } = (await api.snapshot()).offers
    expect(offers.find((offer) => offer.offerId === offerId)).toMatchObject({ direction: 'out', name: 'Größe', files: 1, bytes: 5, isDirectory: true, note: 'hello', state: 'waiting' })
    expect((await put(`${url}?path=late&offset=0`, Buffer.from('x'))).status).toBe(404)
    await api.cancelOffer({ offerId })
    expect((await api.snapshot()).offers.offers.find((offer) => offer.offerId === offerId)?.state).toBe('withdrawn')
  })

  test('takes folders with nothing in them', async () => {
    const { api } = await world.connect(await world.addDevice('browser', 'control'))
    const { url, stagingId } = await api.openStaging()
    for (let again = 0; again < 2; again++) expect(await (await put(`${url}?path=Trip/later/maybe&folder=1`, Buffer.alloc(0))).json()).toEqual({ bytes: 0 })
    expect((await put(`${url}?path=Trip/a.txt&offset=0`, Buffer.from('abc'))).status).toBe(200)
    expect((await put(`${url}?path=Trip/a.txt&folder=1`, Buffer.alloc(0))).status).toBe(400)
    expect((await put(`${url}?path=../up&folder=1`, Buffer.alloc(0))).status).toBe(400)
    expect((await put(`${url}?path=Trip/b&folder=1&offset=0`, Buffer.alloc(0))).status).toBe(400)
    const { offerId } = await api.sendOffer({ peerId: PEER, stagingId })
    const { offers } = (await api.snapshot()).offers
    expect(offers.find((offer) => offer.offerId === offerId)).toMatchObject({ name: 'Trip', files: 1, bytes: 3, isDirectory: true, state: 'waiting' })
  })

  test('refuses other pages, strangers, ways out and pieces that are too large', async () => {
    const { api } = await world.connect(await world.addDevice('browser', 'control'))
    const { url } = await api.openStaging()
    const body = Buffer.from('abc')
    expect((await put(`${url}?path=a&offset=0`, body, { Origin: 'https://evil.example' })).status).toBe(403)
    expect((await put(`${url}?path=a&offset=0`, body, { 'Sec-Fetch-Site': 'cross-site' })).status).toBe(403)
    expect((await put(`/staging/${'0'.repeat(32)}?path=a&offset=0`, body)).status).toBe(404)
    for (const query of ['path=../a&offset=0', 'path=%2Fetc%2Fpasswd&offset=0', 'offset=0', 'path=a', 'path=a&offset=-1', 'path=a&path=b&offset=0']) {
      expect((await put(`${url}?${query}`, body)).status, query).toBe(400)
    }
    expect((await put(`${url}?path=a&offset=0`, Buffer.alloc(MAX_STAGED_PIECE + 1))).status).toBe(413)
  })

  test('lets no device send files of the helper’s machine, or set rules, that may not', async () => {
    const { api } = await world.connect(await world.addDevice('browser', 'control'))
    await expect(api.sendOffer({ peerId: PEER, paths: [world.shareDirectory] })).rejects.toMatchObject({ code: 'not-allowed' })
    await expect(api.setOfferRule({ peerId: PEER, autoAcceptBytes: 1e12 })).rejects.toMatchObject({ code: 'not-allowed' })
    const view = await world.connect(await world.addDevice('browser', 'view'))
    await expect(view.api.openStaging()).rejects.toMatchObject({ code: 'not-allowed' })
    const admin = await world.connect(await world.addDevice())
    await expect(admin.api.sendOffer({ peerId: PEER, paths: [`${world.base}/storage`] })).rejects.toMatchObject({ code: 'not-allowed' })
    await expect(admin.api.sendOffer({ peerId: PEER, paths: ['/nowhere/at/all'] })).rejects.toMatchObject({ code: 'not-found' })
  })
})

describe('offers that come over a connection', () => {
  const EVIL = 'ee'.repeat(32) as PeerId

  test('are held off when there are too many, before anybody hears of them', () => {
    const events: NetworkEvent[] = []
    const clock = { now: () => 0, wakeAfter: () => () => {} }
    const exchange = openOfferExchange({ connection: () => undefined, has: () => false, emit: (event) => events.push(event), clock })
    const codes = new Map<string, number>()
    const count = (work: () => unknown) => {
      let code = 'noted'
      try {
        work()
      } catch (error) {
        code = error instanceof CodedError ? error.code : 'thrown'
      }
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    for (let i = 0; i < 1_000; i++) {
      const offerId = new Uint8Array(16).fill(i & 0xff)
      // As it came over the wire.
      const offer = decodeRequest(encodeRequest({ type: 'offer', offerId, name: 'x', files: 1, bytes: 1, isDirectory: false }))
      if (offer.ok && offer.value.type === 'offer') {
        const { value } = offer
        count(() => exchange.answer(EVIL, value))
      }
      count(() => exchange.answer(EVIL, { type: 'offer-news', offerId, state: 'accepted' }))
    }
    expect(codes.get('thrown')).toBeUndefined()
    expect(events.length).toBeLessThanOrEqual(10)
    exchange.setPolicy({ offered: [], muted: [EVIL], full: [] })
    expect(() => exchange.answer(EVIL, { type: 'offer', offerId: new Uint8Array(16), name: 'x', files: 1, bytes: 1, isDirectory: false })).toThrow('no offers are wanted')
    exchange.close()
  })
})
