import { CodedError } from '@harddrive-party/protocol'

/** Opens an address that is still being asked for. The tab comes first, in the same click, or the browser would block it as a pop-up. */
export async function openInTab(address: () => Promise<string>): Promise<void> {
  const tab = window.open('', '_blank')
  if (tab === null) throw new CodedError('not-allowed', 'your browser blocked the new tab; allow pop-ups for this page')
  try {
    tab.opener = null
    tab.location.href = await address()
  } catch (error) {
    tab.close()
    throw error
  }
}
