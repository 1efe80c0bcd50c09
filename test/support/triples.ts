/** A text, one that says nearly the same in words of the same stems, and one about something else. */
export interface Triple {
  language: string;
  anchor: string;
  nearer: string;
  farther: string;
}

const TRIPLES_BY_LANGUAGE: Record<string, [anchor: string, nearer: string, farther: string][]> = {
  en: [
    ["The dog runs through the park", "Dogs were running in the parks", "The bank raised its interest rate"],
    ["How do I reset my password?", "Resetting a forgotten password", "How do I get to the station?"],
    ["The company hired twenty engineers", "Engineering staff: hiring at the company", "Twenty birds sat on the wire"],
    ["She paints landscapes in oil", "A landscape painter and her oils", "He drives an electric car to work"],
    ["Connecting to the database failed", "Database connection failure", "Baking bread needs strong flour"],
    ["The treaty was signed in Vienna", "Signing of the Vienna treaty", "The cake was eaten in the kitchen"],
    ["Heavy rain flooded the streets", "Flooding of streets after heavy rains", "A new phone was shown in autumn"],
    ["Refund for a cancelled order", "I cancelled my orders, where are the refunds?", "Recipe for a tomato soup"],
    ["The surgeon operated on his knee", "Knee operations by surgeons", "The teacher read a poem aloud"],
    ["Photosynthesis in green plants", "How a plant photosynthesises", "Shipping in the open ocean"],
  ],
  de: [
    ["Der Hund läuft durch den Garten", "Hunde laufen im Garten herum", "Die Bank erhöht den Zinssatz"],
    ["Wie kündige ich meinen Vertrag?", "Kündigung eines Vertrages", "Wie koche ich eine Suppe?"],
    ["Die Regierung plant neue Steuern", "Steuerpläne der Regierung", "Die Katze schläft auf dem Sofa"],
    [
      "Das Fahrrad hat einen platten Reifen",
      "Fahrradreifen flicken, wenn sie platt sind",
      "Das Konzert war sehr gut besucht",
    ],
    ["Die Wanderung führt über die Berge", "Wandern in den Bergen", "Der Drucker meldet einen Fehler"],
    ["Er übersetzt Romane aus dem Russischen", "Übersetzungen russischer Romane", "Sie pflanzt Tomaten auf dem Balkon"],
    ["Die Rechnung wurde noch nicht bezahlt", "Unbezahlte Rechnungen", "Das Wetter wurde endlich schön"],
  ],
  fr: [
    ["Le chat dort sur le canapé", "Les chats dormaient sur des canapés", "La banque augmente ses taux"],
    ["Comment annuler ma commande ?", "Annulation d'une commande", "Comment aller à la gare ?"],
    [
      "La cuisine italienne utilise des tomates",
      "Cuisiner des tomates à l'italienne",
      "Le train arrive en retard ce matin",
    ],
    ["Les élections présidentielles approchent", "Élection d'un président", "Les fleurs du jardin ont fané"],
    ["Il apprend à jouer du piano", "Apprentissage du piano", "Il répare la voiture de son voisin"],
    ["Le médecin prescrit un médicament", "Médicaments prescrits par des médecins", "Le marin regarde les étoiles"],
  ],
  es: [
    ["El perro corre por el parque", "Los perros corrían en los parques", "El banco sube los intereses"],
    ["¿Cómo cambio mi contraseña?", "Cambiar una contraseña olvidada", "¿Cómo llego al aeropuerto?"],
    ["La lluvia inundó las calles", "Inundaciones en la calle por las lluvias", "El equipo ganó la final de fútbol"],
    ["Necesito una traducción al inglés", "Traducir un texto inglés", "Necesito comprar leche y pan"],
    ["Los científicos descubrieron un planeta", "Descubrimiento científico de planetas", "Los niños comieron helado"],
    ["La biblioteca abre los domingos", "Domingo: bibliotecas abiertas", "La cerveza está muy fría"],
  ],
  it: [
    ["Il gatto dorme sul divano", "I gatti dormivano sui divani", "La banca alza i tassi"],
    ["Come posso cancellare l'ordine?", "Cancellazione degli ordini", "Come posso arrivare in stazione?"],
    ["La squadra ha vinto la partita", "Partite vinte dalla squadra", "La pioggia ha bagnato i libri"],
    ["Cerco un appartamento in affitto a Roma", "Appartamenti romani da affittare", "Suono la chitarra con gli amici"],
    ["Il governo approva la riforma fiscale", "Riforme fiscali approvate dai governi", "Il cuoco prepara una torta"],
  ],
  pt: [
    ["O cachorro corre no parque", "Cachorros correndo pelos parques", "O banco aumentou os juros"],
    ["Como faço para cancelar a assinatura?", "Cancelamento de assinaturas", "Como faço um bolo de chocolate?"],
    ["A cidade construiu uma ponte nova", "Construção de pontes na cidade", "A professora corrigiu as provas"],
    [
      "O agricultor planta milho e feijão",
      "Plantação de feijões e milho por agricultores",
      "O avião pousou com atraso",
    ],
    ["Os turistas visitam o museu", "Visita de um turista aos museus", "Os vizinhos fazem muito barulho"],
  ],
  nl: [
    ["De hond rent door het park", "Honden rennen in de parken", "De bank verhoogt de rente"],
    ["Hoe kan ik mijn bestelling annuleren?", "Bestellingen annuleren", "Hoe kan ik naar het station lopen?"],
    ["De fietser reed over de brug", "Fietsers rijden over bruggen", "Het kind leest een boek"],
    ["De leraar geeft les in wiskunde", "Wiskundelessen van leraren", "De boer melkt zijn koeien"],
  ],
  ru: [
    ["Собака бежит по парку", "Собаки бегают в парке", "Банк повысил процентную ставку"],
    ["Как отменить мой заказ?", "Отмена заказа", "Как доехать до вокзала?"],
    ["Учёные открыли новую планету", "Открытие планеты учёными", "Дети ели мороженое"],
    ["Правительство обсуждает налоги", "Обсуждение налогов в правительстве", "Кошка спит на диване"],
    ["Библиотека закрыта по воскресеньям", "Закрытие библиотек в воскресенье", "Пиво было очень холодным"],
    ["Он переводит книги с английского языка", "Перевод английских книг", "Она сажает цветы на балконе"],
    ["Московское метро перевозит пассажиров", "Пассажиры метро в Москве", "Повар готовит суп"],
  ],
  el: [
    ["Ο σκύλος τρέχει στο πάρκο", "Οι σκύλοι έτρεχαν στα πάρκα", "Η τράπεζα αύξησε το επιτόκιο"],
    ["Πώς ακυρώνω την παραγγελία μου;", "Ακύρωση παραγγελίας", "Πώς πάω στον σταθμό;"],
    ["Το μουσείο ανοίγει την Κυριακή", "Ανοιχτά μουσεία τις Κυριακές", "Το αυτοκίνητο χάλασε στον δρόμο"],
    ["Ο γιατρός εξετάζει τον ασθενή", "Εξέταση ασθενών από γιατρούς", "Ο μάγειρας ψήνει ψωμί"],
  ],
  tr: [
    ["Köpek parkta koşuyor", "Parklarda koşan köpekler", "Banka faiz oranını artırdı"],
    ["Siparişimi nasıl iptal ederim?", "Sipariş iptali", "Havaalanına nasıl giderim?"],
    ["Öğretmen öğrencilere kitap okuyor", "Öğrencilerin okuduğu kitaplar ve öğretmenler", "Yağmur bütün gece yağdı"],
    ["Hükümet yeni vergiler planlıyor", "Hükümetin vergi planları", "Kedi koltukta uyuyor"],
    ["Müze pazar günleri açık", "Pazar günü açılan müzeler", "Araba yolda bozuldu"],
  ],
  pl: [
    ["Pies biegnie przez park", "Psy biegają w parku", "Bank podniósł stopy procentowe"],
    ["Jak anulować zamówienie?", "Anulowanie zamówienia", "Jak dojechać na dworzec?"],
    ["Naukowcy odkryli nową planetę", "Odkrycie planety przez naukowców", "Dzieci jadły lody"],
    ["Rząd planuje podwyżkę podatków", "Podatki: plany rządu i podwyżki", "Kot śpi na kanapie"],
    ["Nauczyciel czyta uczniom książkę", "Książki czytane przez nauczycieli", "Deszcz padał całą noc"],
  ],
  cs: [
    ["Vláda plánuje nové daně", "Daňové plány vlády", "Kočka spí na gauči"],
    ["Jak zruším objednávku?", "Zrušení objednávky", "Jak se dostanu na nádraží?"],
    ["Vědci objevili novou planetu", "Objev planety vědci", "Děti jedly zmrzlinu"],
  ],
  fi: [
    ["Koira juoksee puistossa", "Koirat juoksevat puistoissa", "Pankki nosti korkoa"],
    ["Kirjasto on auki sunnuntaina", "Sunnuntaisin auki olevat kirjastot", "Auto hajosi tielle"],
    ["Hallitus suunnittelee uusia veroja", "Hallituksen verosuunnitelmat", "Kissa nukkuu sohvalla"],
  ],
  ja: [
    ["犬が公園を走っている", "公園で走る犬", "銀行が金利を引き上げた"],
    ["注文をキャンセルする方法", "注文のキャンセルについて", "駅への行き方"],
    ["東京の天気予報", "天気の予報は東京で晴れ", "ピアノを弾く少女"],
    ["新しいコーヒーの店が開店した", "コーヒー店の開店", "数学の試験は難しい"],
    ["図書館は日曜日に休みです", "日曜日の図書館", "彼は車を修理した"],
    ["パスワードを忘れました", "忘れたパスワードの変更", "猫がソファで寝ている"],
  ],
  zh: [
    ["狗在公园里跑步", "公园里跑步的狗", "银行提高了利率"],
    ["如何取消我的订单?", "取消订单的方法", "如何去火车站?"],
    ["科学家发现了一颗新行星", "新行星的发现", "孩子们吃了冰淇淋"],
    ["政府计划提高税收", "政府的税收计划", "猫睡在沙发上"],
    ["图书馆星期天关门", "星期天不开门的图书馆", "汽车在路上坏了"],
    ["他把英文小说翻译成中文", "英文小说的中文翻译", "她在阳台上种花"],
  ],
  ko: [
    ["개가 공원에서 달린다", "공원을 달리는 개", "은행이 금리를 올렸다"],
    ["주문을 취소하는 방법", "주문 취소는 어떻게 하나요?", "기차역에 가는 길"],
    ["과학자들이 새로운 행성을 발견했다", "새 행성을 발견한 과학자", "아이들이 아이스크림을 먹었다"],
    ["도서관은 일요일에 문을 닫는다", "일요일의 도서관", "자동차가 도로에서 고장났다"],
    ["정부가 세금 인상을 계획한다", "정부의 세금 계획", "고양이가 소파에서 잔다"],
    ["비밀번호를 잊어버렸어요", "잊어버린 비밀번호 변경", "어머니가 김치를 담그신다"],
  ],
  ar: [
    ["الكلب يركض في الحديقة", "كلاب تركض في الحدائق والحديقة", "رفع البنك سعر الفائدة"],
    ["كيف ألغي طلبي؟", "إلغاء الطلب", "كيف أصل إلى المحطة؟"],
    ["اكتشف العلماء كوكبا جديدا", "اكتشاف كوكب جديد", "أكل الأطفال المثلجات"],
    ["تخطط الحكومة لزيادة الضرائب", "خطط الحكومة للضرائب", "القطة تنام على الأريكة"],
    ["المكتبة مفتوحة يوم الأحد", "المكتبات المفتوحة أيام الأحد", "تعطلت السيارة في الطريق"],
  ],
  he: [
    ["הכלב רץ בפארק", "כלבים רצים בפארק", "הבנק העלה את הריבית"],
    ["איך מבטלים הזמנה?", "ביטול הזמנה", "איך מגיעים לתחנה?"],
    ["הספרייה סגורה ביום ראשון", "ספריות סגורות בימי ראשון", "המכונית התקלקלה בדרך"],
  ],
  hi: [
    ["कुत्ता पार्क में दौड़ रहा है", "पार्क में दौड़ते कुत्ते", "बैंक ने ब्याज दर बढ़ाई"],
    ["मैं अपना ऑर्डर कैसे रद्द करूँ?", "ऑर्डर रद्द करना", "मैं स्टेशन कैसे जाऊँ?"],
    ["वैज्ञानिकों ने नया ग्रह खोजा", "वैज्ञानिक द्वारा ग्रह की खोज", "बच्चों ने आइसक्रीम खाई"],
    ["सरकार नए कर लगाने की योजना बना रही है", "कर के लिए सरकारी योजना", "बिल्ली सोफे पर सो रही है"],
  ],
  th: [
    ["วิธียกเลิกคำสั่งซื้อ", "ยกเลิกคำสั่งซื้ออย่างไร", "แมวนอนบนโซฟา"],
    ["ห้องสมุดปิดวันอาทิตย์", "วันอาทิตย์ห้องสมุดเปิดไหม", "รถเสียกลางถนน"],
  ],
};

export const TRIPLES: Triple[] = Object.entries(TRIPLES_BY_LANGUAGE).flatMap(([language, triples]) =>
  triples.map(([anchor, nearer, farther]) => ({ language, anchor, nearer, farther })),
);
