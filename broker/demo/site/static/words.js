/** The labels of the page in its languages. Test ids and addresses are never translated. */
import { config } from "./config.js";

const LANGUAGES = ["ko", "tr", "zh", "es"];

/** @type {Record<string, string[]>} */
const WORDS = {
  "Ask Grok anything": [
    "Grok에게 무엇이든 물어보세요",
    "Grok'a bir şey sor",
    "向 Grok 提问",
    "Pregunta a Grok",
  ],
  Submit: ["제출", "Gönder", "提交", "Enviar"],
  "Stop model response": ["응답 중지", "Yanıtı durdur", "停止响应", "Detener respuesta"],
  Attach: ["첨부", "Ekle", "附件", "Adjuntar"],
  "Model select": ["모델 선택", "Model seç", "选择模型", "Seleccionar modelo"],
  "Start voice mode": ["음성 모드 시작", "Sesli modu başlat", "启动语音模式", "Iniciar modo de voz"],
  "Type to imagine": ["상상을 입력하세요", "Hayal etmek için yaz", "输入以想象", "Escribe para imaginar"],
  "Type to customize video": [
    "동영상을 맞춤 설정하세요",
    "Videoyu özelleştir",
    "输入以自定义视频",
    "Escribe para personalizar el video",
  ],
  "Make a video": ["동영상 만들기", "Video oluştur", "制作视频", "Crear un video"],
  "Make video": ["동영상 제작", "Video yap", "生成视频", "Crear video"],
  "Generation mode": ["생성 모드", "Oluşturma modu", "生成模式", "Modo de generación"],
  "Video resolution": ["동영상 해상도", "Video çözünürlüğü", "视频分辨率", "Resolución de video"],
  "Video duration": ["동영상 길이", "Video süresi", "视频时长", "Duración del video"],
  "Image generation speed": [
    "이미지 생성 속도",
    "Görsel oluşturma hızı",
    "图片生成速度",
    "Velocidad de generación",
  ],
  "Aspect Ratio": ["화면 비율", "En Boy Oranı", "宽高比", "Relación de aspecto"],
  Image: ["이미지", "Görsel", "图片", "Imagen"],
  Video: ["동영상", "Video", "视频", "Video"],
  Agent: ["에이전트", "Ajan", "智能体", "Agente"],
  Speed: ["속도", "Hız", "速度", "Velocidad"],
  Quality: ["품질", "Kalite", "质量", "Calidad"],
  "Remove image": ["이미지 제거", "Görseli kaldır", "移除图片", "Quitar imagen"],
  "Video Options": ["동영상 옵션", "Video Seçenekleri", "视频选项", "Opciones de video"],
  "Cancel Video": ["동영상 취소", "Videoyu İptal Et", "取消视频", "Cancelar video"],
  Generating: ["생성 중", "Oluşturuluyor", "正在生成", "Generando"],
  Download: ["다운로드", "İndir", "下载", "Descargar"],
  Redo: ["다시 하기", "Yinele", "重做", "Rehacer"],
  Back: ["뒤로", "Geri", "返回", "Atrás"],
  "Home page": ["홈페이지", "Ana sayfa", "主页", "Página principal"],
  "New Chat": ["새 채팅", "Yeni Sohbet", "新聊天", "Nuevo chat"],
  "Log in": ["로그인", "Giriş yap", "登录", "Iniciar sesión"],
  "Sign up": ["가입하기", "Kaydol", "注册", "Regístrate"],
  "Thinking about your request": [
    "요청을 생각하는 중",
    "İsteğin düşünülüyor",
    "正在思考你的请求",
    "Pensando en tu solicitud",
  ],
};

/**
 * The label in the page's language.
 * @param {string} english
 */
export function say(english) {
  return WORDS[english]?.[LANGUAGES.indexOf(config.language)] ?? english;
}
