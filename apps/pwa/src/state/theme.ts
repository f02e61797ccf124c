import { ref } from 'vue'

/** Light, dark, or what the system says; kept in this browser. */
export type Theme = 'auto' | 'light' | 'dark'

const KEY = 'theme'

export const theme = ref<Theme>(storedTheme())

function storedTheme(): Theme {
  try {
    const text = localStorage.getItem(KEY)
    return text === 'light' || text === 'dark' ? text : 'auto'
  } catch {
    return 'auto'
  }
}

export function setTheme(next: Theme) {
  theme.value = next
  applyTheme()
  try {
    localStorage.setItem(KEY, next)
  } catch {
    // A browser that stores nothing still changes colour until it is closed.
  }
}

export function applyTheme() {
  if (theme.value === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme.value
}
